-- Who may have to be reaped: a part of the sessions that were opened, or of the consumers of all lanes.
-- ARGV: prefix, 'sessions' or 'lanes', where the part begins ('0' at first).
-- Returns {where the next begins ('0': that was the last), {session, ms it has been silent, its lease in ms}…}; silent for -1:
-- it has no record.
local known, page = {}, nil
if ARGV[2] == 'sessions' then
  page = call('SSCAN', P .. 'sessions', ARGV[3], 'COUNT', 200)
  for _, session in ipairs(page[2]) do known[session] = true end
else
  page = call('HSCAN', P .. 'lanes', ARGV[3], 'COUNT', 20)
  for i = 1, #page[2], 2 do
    local queue = page[2][i]
    for level in string.gmatch(page[2][i + 1], '|(%-?%d+)|') do
      local consumers = pcall_('XINFO', 'CONSUMERS', lane(level, queue), 'w')
      if not consumers.err then
        for _, consumer in ipairs(consumers) do
          if consumer[2] ~= NOBODY then known[consumer[2]] = true end
        end
      end
    end
    -- the server itself drops dead letters that are too old; of some that are listed here see whether they are still there
    for _, id in ipairs(call('ZRANDMEMBER', P .. 'dead:' .. queue, 10)) do
      if call('EXISTS', P .. 'x:' .. id) == 0 then
        call('ZREM', P .. 'dead:' .. queue, id)
        call('ZREM', P .. 'dead', id)
      end
    end
  end
end
local answer = {page[1]}
for session in pairs(known) do
  local left = call('PTTL', P .. 'n:' .. session)
  local lease = left >= 0 and call('HGET', P .. 'n:' .. session, 'lease') or 0
  local silent = left >= 0 and DAY - left or -1
  if silent < 0 or silent >= tonumber(lease) / 4 then
    answer[#answer + 1] = {session, silent, tonumber(lease)}
  end
end
return answer
