-- ARGV: prefix, events_max, session, number, slot, the items' events one behind the other, their lengths, then the items:
--   P level queue ttl reply n, then n positions, then id and result of each: plain completions of one lane
--   or one of C R D L M: level, queue, position, id, ttl (ms), reply, result, opts, and behind it what it emits, as for
--   publish_all. `opts` is JSON: m (how many arguments the emits are), s (special), h (counts stand beside), c (its new
--   counts), a (after, seconds), v (look who holds it), for D: e (reason), and the error follows the emits.
-- Returns 'F' if the session was reaped, 'T' if the number is too old, else the answers joined by newlines, '' for all done:
-- s stale, d done, d and a JSON array of what publish answered.
local session, number, slot = ARGV[3], tonumber(ARGV[4]), 'a' .. ARGV[5]
local state = P .. 'n:' .. session
if call('PEXPIRE', state, DAY) == 0 then return 'F' end
local kept, highest = unpack(call('HMGET', state, slot, 'l'))
if kept then
  local which, answers = string.match(kept, '^(%d+)\n(.*)$')
  if tonumber(which) == number then return answers end
end
if highest and number <= tonumber(highest) then return 'T' end

local DEAD_TTL = 30 * DAY

local function held(key, at, verify)
  if not verify then return true end
  return #call('XPENDING', key, 'w', at, at, 1, session) == 1
end

-- Take an entry out of its lane; false if this session does not hold it. Returns what is in it, if that is wanted.
local function take_out(key, at, verify, wanted)
  if not held(key, at, verify) then return false end
  local entry = wanted and call('XRANGE', key, at, at)[1]
  if call('XACK', key, 'w', at) == 0 then return false end
  call('XDEL', key, at)
  return entry or true
end

local function hand_back(key, at, queue, id, counts)
  call('XCLAIM', key, 'w', NOBODY, 0, at, 'JUSTID')
  call('HSET', P .. 'counts', id, counts)
  ready(queue, 1)
end

-- A wish to cancel ends with the hand-over that it was meant for.
local wished = call('EXISTS', P .. 'wishes') == 1

-- Plain completions of one lane: what is acknowledged together is deleted together.
local function complete_all(i, answers)
  local level, queue, ttl, reply, n = ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3]), ARGV[i + 4], tonumber(ARGV[i + 5])
  local key, first = lane(level, queue), #answers
  local positions = {}
  for at = 1, n do positions[at] = ARGV[i + 5 + at] end
  local stale
  if call('XACK', key, 'w', unpack(positions)) < n then
    -- its lane was removed or emptied by somebody's hand: what is not in it any more was not held
    stale = {}
    for at = 1, n do stale[at] = #call('XRANGE', key, positions[at], positions[at]) == 0 end
  end
  call('XDEL', key, unpack(positions))
  local base = i + 5 + n
  local head, stands = finished(ttl)
  for at = 1, n do
    if stale and stale[at] then
      answers[first + at] = 's'
    else
      local result = ARGV[base + 2 * at]
      call('SET', record(ARGV[base + 2 * at - 1]), ttl > 0 and head .. result or head, 'PX', stands)
      if wished then call('HDEL', P .. 'wishes', ARGV[base + 2 * at - 1]) end
      push(reply, result)
      answers[first + at] = 'd'
    end
  end
  return i + 6 + 3 * n, not stale
end

local function settle(i)
  local kind, level, queue, at, id = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local o = cjson.decode(ARGV[i + 8])
  local key, special = lane(level, queue), o.s or ''
  if kind == 'L' and not o.a then
    if not held(key, at, true) then return 's' end
    hand_back(key, at, queue, id, o.c)
  else
    local entry = take_out(key, at, o.v, kind ~= 'C')
    if not entry then return 's' end
    if o.h then call('HDEL', P .. 'counts', id) end
    if kind == 'C' then
      finish(id, ARGV[i + 7], tonumber(ARGV[i + 5]))
      free_keys(id, queue, special)
    elseif kind == 'R' or kind == 'L' then
      place(id, level, queue, entry[2][2], o.c, special, o.a and NOW_S + o.a)
    elseif kind == 'M' then
      local past = special ~= '' and cjson.decode(special) or {}
      past.p = past.p or '0,0,0'
      call('HSET', P .. 'kept', id, cmsgpack.pack({level, queue, entry[2][2], o.c, cjson.encode(past), 0}))
      call('SET', record(id), 'M')
    else
      local ttl = tonumber(ARGV[i + 5])
      local letter = P .. 'x:' .. id
      call('HSET', letter, 'q', queue, 'e', entry[2][2], 'c', o.c, 'r', o.e, 'x', ARGV[i + 9 + o.m],
        'at', string.format('%.6f', NOW_S), 's', special)
      call('PEXPIRE', letter, DEAD_TTL)
      call('ZADD', P .. 'dead', 0, id)
      call('ZADD', P .. 'dead:' .. queue, 0, id)
      call('SET', record(id), 'X', 'PX', DEAD_TTL)
      if ttl > 0 then call('SET', P .. 'y:' .. id, ARGV[i + 7], 'PX', ttl) end
      free_keys(id, queue, special)
    end
    if kind == 'C' or kind == 'D' then push(ARGV[i + 6], ARGV[i + 7]) end
  end
  call('HDEL', P .. 'wishes', id)
  return o.m > 0 and 'd' .. cjson.encode((publish_all(i + 9, i + 8 + o.m))) or 'd'
end

local answers, plain, i = {}, true, 8
while i <= #ARGV do
  if ARGV[i] == 'P' then
    local done
    i, done = complete_all(i, answers)
    plain = plain and done
  else
    local answer = settle(i)
    answers[#answers + 1] = answer
    plain = plain and answer == 'd'
    local o = cjson.decode(ARGV[i + 8])
    i = i + 9 + o.m + (o.e and 1 or 0)
  end
end
if plain then
  event(ARGV[6])
else
  events_of(ARGV[6], ARGV[7], function(at) return answers[at] ~= 's' end)
end
local answer = plain and '' or table.concat(answers, '\n')
call('HSET', state, slot, ARGV[4] .. '\n' .. answer, 'l', ARGV[4])
conclude(ARGV[2])
return answer
