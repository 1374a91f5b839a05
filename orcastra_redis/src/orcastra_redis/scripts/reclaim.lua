-- Hand the deliveries of one session out again that has no record any more, or end the session first.
-- ARGV: prefix, events_max, session, most, then 'expire' (end it, whatever its state), 'lapse' and the day less its lease
-- in ms (end it if it has been silent for so long), 'leave' (end it and count a release), or 'orphans' (it is gone).
-- For 'lapse' the run_id of the server that the judge has been in touch with: after a restart or a failover nobody was heard.
-- Returns {1 if it was ended now, 1 if there may be more, id, queue, counts, …} of what is handed out again.
local LANES = 500 -- looked at in one call; what comes next is noted in «reaping», for whoever goes on
local session, most, why = ARGV[3], tonumber(ARGV[4]), ARGV[5]
local state = P .. 'n:' .. session
local ended = 0
if why == 'lapse' then
  if string.match(call('INFO', 'server'), 'run_id:(%w+)') ~= ARGV[6] then return {0, 0} end
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

local answer, left, done, looked = {ended, 0}, false, 0, 0

local function take_back(entry, queue, key, position_)
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
end

-- Take a lane's deliveries back; false if it holds more than there is room for.
local function clear(queue, key)
  local room = most - done
  local pending = pcall_('XPENDING', key, 'w', '-', '+', room + 1, session)
  if pending.err then return true end
  for at = 1, math.min(room, #pending) do
    local position_ = pending[at][1]
    local entry = call('XRANGE', key, position_, position_)[1]
    if entry then take_back(entry, queue, key, position_) else call('XACK', key, 'w', position_) end
    done = done + 1
  end
  if #pending > room then return false end
  -- it drops what is pending, so only when nothing is
  call('XGROUP', 'DELCONSUMER', key, 'w', session)
  return true
end

local cursor = ended == 0 and call('HGET', P .. 'reaping', session) or '0'
repeat
  local page = call('HSCAN', P .. 'lanes', cursor, 'COUNT', 100)
  for i = 1, #page[2], 2 do
    for level in string.gmatch(page[2][i + 1], '|(%-?%d+)|') do
      left = left or not clear(page[2][i], lane(level, page[2][i]))
      looked = looked + 1
    end
  end
  if not left then cursor = page[1] end
until left or cursor == '0' or looked >= LANES
if left or cursor ~= '0' then
  answer[2] = 1
  call('HSET', P .. 'reaping', session, cursor)
else
  call('HDEL', P .. 'reaping', session)
  call('SREM', P .. 'sessions', session)
  call('DEL', P .. 'g:' .. session)
end
conclude(ARGV[2])
return answer
