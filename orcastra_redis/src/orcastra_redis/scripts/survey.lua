-- Who may have to be reaped. ARGV: prefix. Returns {session, ms it has been silent, its lease in ms}…; silent for -1: it has no
-- record. Looks at the sessions that were opened and at the consumers of every lane.
local known, answer = {}, {}
for _, session in ipairs(call('SMEMBERS', P .. 'sessions')) do known[session] = true end
local lanes = call('HGETALL', P .. 'lanes')
for i = 1, #lanes, 2 do
  for level in string.gmatch(lanes[i + 1], '|(%-?%d+)|') do
    local consumers = pcall_('XINFO', 'CONSUMERS', lane(level, lanes[i]), 'w')
    if not consumers.err then
      for _, consumer in ipairs(consumers) do
        if consumer[2] ~= NOBODY then known[consumer[2]] = true end
      end
    end
  end
end
for session in pairs(known) do
  local left = call('PTTL', P .. 'n:' .. session)
  local lease = left >= 0 and call('HGET', P .. 'n:' .. session, 'lease') or 0
  local silent = left >= 0 and DAY - left or -1
  if silent < 0 or silent >= tonumber(lease) / 4 then
    answer[#answer + 1] = {session, silent, tonumber(lease)}
  end
end
return answer
