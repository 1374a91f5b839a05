-- The positions that a session holds. ARGV: prefix, session. Empty if it was reaped.
local found = {}
if call('EXISTS', P .. 'n:' .. ARGV[2]) == 0 then return found end
local lanes = call('HGETALL', P .. 'lanes')
for i = 1, #lanes, 2 do
  for level in string.gmatch(lanes[i + 1], '|(%-?%d+)|') do
    local from = '-'
    while from do
      local pending = pcall_('XPENDING', lane(level, lanes[i]), 'w', from, '+', 1000, ARGV[2])
      if pending.err then break end
      for _, one in ipairs(pending) do found[#found + 1] = one[1] end
      from = #pending == 1000 and '(' .. pending[1000][1] or nil
    end
  end
end
return found
