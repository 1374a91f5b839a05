-- Hand the deliveries of one session out again that has no record any more, or end the session first.
-- ARGV: prefix, events_max, session, most, then 'expire' (end it, whatever its state), 'lapse' and the day less its lease
-- in ms (end it if it has been silent for so long), 'leave' (end it and count a release), or 'orphans' (it is gone).
-- Returns {1 if it was ended now, 1 if more are left, id, queue, counts, …} of what is handed out again.
local session, most, why = ARGV[3], tonumber(ARGV[4]), ARGV[5]
local state = P .. 'n:' .. session
local ended = 0
if why == 'lapse' then
  local lease = tonumber(call('HGET', state, 'lease') or 0)
  local left = call('PTTL', state)
  if left >= 0 and DAY - left < lease then return {0, 0} end
end
if why ~= 'orphans' then
  ended = call('DEL', state)
  call('PUBLISH', P .. 'n:' .. session, 'f')
elseif call('EXISTS', state) == 1 then
  return {0, 0}
else
  call('PEXPIRE', state, 0) -- of nothing: a first write that is allowed at maxmemory, and so are those after it
end

local answer, left, done = {ended, 0}, false, 0
local lanes = call('HGETALL', P .. 'lanes')
for i = 1, #lanes, 2 do
  local queue = lanes[i]
  for level in string.gmatch(lanes[i + 1], '|(%-?%d+)|') do
    local key = lane(level, queue)
    local room = most - done
    local pending = pcall_('XPENDING', key, 'w', '-', '+', room + 1, session)
    if not pending.err then
      for at = 1, math.min(room, #pending) do
        local position_ = pending[at][1]
        local entry = call('XRANGE', key, position_, position_)[1]
        if entry then
          local id = string.sub(entry[2][2], 1, 36)
          local counts = call('HGET', P .. 'counts', id) or entry[2][4] or ''
          if counts == '' then counts = '0,0,0' end
          local attempt, lost, released = string.match(counts, '^(%d+),(%d+),(%d+)$')
          if why == 'leave' then
            counts = attempt .. ',0,' .. (released + 1)
          else
            counts = attempt .. ',' .. (lost + 1) .. ',' .. released
            call('XADD', P .. 'events', 'MAXLEN', '~', ARGV[2], '*', 'l', cjson.encode({id, queue, counts, session, NOW_S}))
          end
          call('XCLAIM', key, 'w', NOBODY, 0, position_, 'JUSTID')
          call('HSET', P .. 'counts', id, counts)
          ready(queue, 1)
          answer[#answer + 1], answer[#answer + 2], answer[#answer + 3] = id, queue, counts
        else
          call('XACK', key, 'w', position_)
        end
        done = done + 1
      end
      if #pending > room then
        left = true
      else
        -- it drops what is pending, so only when nothing is
        call('XGROUP', 'DELCONSUMER', key, 'w', session)
      end
    end
  end
end
if left then answer[2] = 1 else
  call('SREM', P .. 'sessions', session)
  call('DEL', P .. 'g:' .. session)
end
conclude(ARGV[2])
return answer
