-- ARGV: prefix, events_max, then for each wish: id, ttl (ms), result, events.
-- Returns for each 'U' unknown, 'T' too late, 'S' signalled, or 'R' and the value of the task that was removed.
local answers = {}
for i = 3, #ARGV, 4 do
  local id = ARGV[i]
  local rec = call('GET', record(id))
  local state = rec and string.sub(rec, 1, 1)
  local answer
  if not rec then
    answer = 'U'
  elseif state == 'F' or state == 'X' then
    answer = 'T'
  else
    local at, level, queue = string.match(rec, '^A(%S+) (%S+) (.*)$')
    local holder = at and holder_of(lane(level, queue), at)
    if holder and call('EXISTS', P .. 'n:' .. holder) == 1 then
      call('HSET', P .. 'wishes', id, holder)
      call('RPUSH', P .. 'g:' .. holder, id)
      call('PEXPIRE', P .. 'g:' .. holder, DAY)
      call('PUBLISH', P .. 'n:' .. holder, 'c')
      answer = 'S'
    else
      local _, queue_, value, special = take_waiting(id, rec)
      finish(id, ARGV[i + 2], tonumber(ARGV[i + 1]))
      if queue_ then free_keys(id, queue_, special) end
      event(ARGV[i + 3])
      answer = 'R' .. (value or '')
    end
  end
  answers[#answers + 1] = answer
end
conclude(ARGV[2])
return answers
