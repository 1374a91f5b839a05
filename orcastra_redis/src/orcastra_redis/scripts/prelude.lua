-- What every script begins with. ARGV[1] is the prefix of the domain's keys, «{domain}:».
-- All keys share that hash tag, so that one script may touch any of them, on a cluster too.
--
--   meta            layout, contract, the last position given
--   lanes           queue → «|level|level|»
--   s:LEVEL:QUEUE   the stream of a lane; group «w», a consumer a session; «-» holds what was handed back
--   t:ID            the record of a task: A position level queue · D delayed · L in line · M moved · X dead · F until result
--   kept            ID → what waits outside a stream: level, queue, value, counts, special, due
--   counts          ID → «attempt,lost,released», where they changed since it was put into its stream
--   delayed         IDs by due, Unix seconds           waits   queue → how many are delayed or in line
--   n:SESSION       lease (ms), number of the last fetch, of the last settle, and kept answers; lives for a day without a beat
--   sessions        their ids                          w:QUEUE sessions that wait, by when they stop waiting (ms)
--   reaping         session → where among the lanes its reap goes on
--   d:… o:…         dedup key → ID, ordering key → IDs in line
--   x:ID y:ID       a dead letter, its result; dead, dead:QUEUE their ids
--   wishes          ID → session that is to cancel it    g:SESSION what it was not told yet
--   schedules, schedule:due, schedule:look, schedule:ids
--   paused          queues                             events  the log
--
-- A stream's entry holds «e» = 36 characters of id and the envelope's bytes, and where it is not plain «c» = counts and
-- «s» = special, JSON: d, m its dedup key and mode, o its ordering key, p the counts it was published with.

local call, pcall_ = redis.call, redis.pcall
local P = ARGV[1]
local DAY = 86400000
local WINDOW = 60000
local NOBODY = '-'
local stamp = call('TIME')
local NOW = stamp[1] * 1000 + math.floor(stamp[2] / 1000)
local NOW_S = stamp[1] + stamp[2] / 1000000

local function lane(level, queue) return P .. 's:' .. level .. ':' .. queue end
local function record(id) return P .. 't:' .. id end
local function dedup_key(queue, key) return P .. 'd:' .. #queue .. ':' .. queue .. ':' .. key end
local function line_key(queue, key) return P .. 'o:' .. #queue .. ':' .. queue .. ':' .. key end

-- Positions grow over all lanes of the domain, also when the clock goes back.
local last_ms, last_n
local function position()
  if not last_ms then
    local ms, n = string.match(call('HGET', P .. 'meta', 'last') or '', '^(%d+)-(%d+)$')
    last_ms, last_n = tonumber(ms or 0), tonumber(n or 0)
  end
  if NOW > last_ms then last_ms, last_n = NOW, 0 else last_n = last_n + 1 end
  return string.format('%d-%d', last_ms, last_n) -- «..» writes numbers as fractions, four times as slowly
end

local lanes_of = {}
local function know_lane(level, queue)
  local text = lanes_of[queue]
  if not text then
    text = call('HGET', P .. 'lanes', queue) or ''
    lanes_of[queue] = text
  end
  local mark = '|' .. level .. '|'
  if not string.find(text, mark, 1, true) then
    lanes_of[queue] = text .. mark
    call('HSET', P .. 'lanes', queue, text .. mark)
  end
end

local function append(level, queue, value, counts, special)
  know_lane(level, queue)
  local at = position()
  if counts == '' and special == '' then
    call('XADD', lane(level, queue), at, 'e', value)
  else
    call('XADD', lane(level, queue), at, 'e', value, 'c', counts, 's', special)
  end
  return at
end

local became_ready = {}
local function ready(queue, n) became_ready[queue] = (became_ready[queue] or 0) + n end

local function earliest()
  local delayed = call('ZRANGE', P .. 'delayed', 0, 0, 'WITHSCORES')[2]
  local schedule = call('ZRANGE', P .. 'schedule:look', 0, 0, 'WITHSCORES')[2]
  if delayed and schedule then return math.min(tonumber(delayed), tonumber(schedule)) end
  return tonumber(delayed or schedule)
end

local due_before, deferred = nil, false
local function defer_at(due)
  if not deferred then
    deferred, due_before = true, earliest()
  end
  return due
end

-- Put a task where it waits: into its lane, or aside until `due` (Unix seconds).
local function place(id, level, queue, value, counts, special, due)
  if due and due > NOW_S then
    defer_at(due)
    call('ZADD', P .. 'delayed', due, id)
    call('HSET', P .. 'kept', id, cmsgpack.pack({level, queue, value, counts, special, due}))
    call('HINCRBY', P .. 'waits', queue, 1)
    call('SET', record(id), 'D')
    return
  end
  local at = append(level, queue, value, counts, special)
  call('SET', record(id), 'A' .. at .. ' ' .. level .. ' ' .. queue)
  ready(queue, 1)
end

-- Take back what was put aside.
local function unkeep(id)
  local packed = call('HGET', P .. 'kept', id)
  if not packed then return nil end
  call('HDEL', P .. 'kept', id)
  return cmsgpack.unpack(packed)
end

local function no_longer_waits(queue)
  if call('HINCRBY', P .. 'waits', queue, -1) <= 0 then call('HDEL', P .. 'waits', queue) end
end

local function leave_line(queue, key, id)
  local line = line_key(queue, key)
  if call('LINDEX', line, 0) ~= id then
    call('LREM', line, 1, id)
    return
  end
  call('LPOP', line)
  while true do
    local follower = call('LINDEX', line, 0)
    if not follower then return end
    if call('GET', record(follower)) == 'L' then
      local k = unkeep(follower)
      no_longer_waits(queue)
      place(follower, k[1], k[2], k[3], k[4], k[5], k[6] ~= 0 and k[6] or nil)
      return
    end
    call('LPOP', line)
  end
end

-- Free what a task's keys kept back. A key held for a window stays, unless the task is to be forgotten.
local function free_keys(id, queue, special, forget)
  if special == '' then return end
  local s = cjson.decode(special)
  if s.d and (s.m ~= 2 or forget) then
    local key = dedup_key(queue, s.d)
    if call('GET', key) == id then call('DEL', key) end
  end
  if s.o then leave_line(queue, s.o, id) end
end

-- The head of the record of a task that ends now, and for how long it stands.
local function finished(ttl)
  return string.format('F%d ', NOW + ttl), string.format('%d', ttl + WINDOW)
end

local function finish(id, result, ttl)
  local head, stands = finished(ttl)
  call('SET', record(id), head .. (ttl > 0 and result or ''), 'PX', stands)
end

local pushes = {}
local function push(reply, result)
  if reply == '' then return end
  local to = pushes[reply]
  if not to then
    to = {}
    pushes[reply] = to
  end
  to[#to + 1] = struct.pack('>I4', #result) .. result
end

local events = {}
local function event(records)
  if records ~= '' then events[#events + 1] = records end
end

local function weight(counts)
  local attempt, _, released = string.match(counts, '^(%d+),(%d+),(%d+)$')
  return attempt + released
end

-- What a task in a lane or aside was published with.
local function published_with(id, rec)
  local special
  if string.sub(rec, 1, 1) == 'A' then
    local at, level, queue = string.match(rec, '^A(%S+) (%S+) (.*)$')
    local entry = call('XRANGE', lane(level, queue), at, at)[1]
    special = entry and entry[2][6]
  else
    local packed = call('HGET', P .. 'kept', id)
    special = packed and cmsgpack.unpack(packed)[5]
  end
  return special and special ~= '' and cjson.decode(special).p or '0,0,0'
end

-- Store one envelope that is nothing but a value. Answers S, or D and its id: it is known.
local function publish_plain(level, queue, behind, value)
  local id = string.sub(value, 1, 36)
  local at = position()
  if not call('SET', record(id), 'A' .. at .. behind, 'NX') then return 'D' .. id end
  call('XADD', lane(level, queue), at, 'e', value)
  return 'S'
end

-- Store one envelope. Answers S, D and the holder's id, or U: known with other counts, ask again.
-- `opts` is JSON: due, dk dm dw (dedup key, mode, window in ms), ok (ordering key), c (counts).
local function publish(id, level, queue, value, opts)
  local rec = call('GET', record(id))
  local o = cjson.decode(opts)
  local counts = o.c or ''
  local moved
  if rec then
    local state = string.sub(rec, 1, 1)
    if counts == '' or state == 'F' or state == 'X' then return 'D' .. id end
    local before = published_with(id, rec)
    if counts == before or weight(counts) < weight(before) then return 'D' .. id end
    if state ~= 'M' then return 'U' end
    moved = cmsgpack.unpack(call('HGET', P .. 'kept', id))
  end
  local held = moved and moved[5] ~= '' and cjson.decode(moved[5]) or {}
  local special = {p = counts ~= '' and counts or nil}
  -- a key that ends by start or by time may be another's by now; as its Duplicate what comes back would be lost
  if o.dk and not (moved and o.dm ~= 0) then
    local key = dedup_key(queue, o.dk)
    local holder = call('GET', key)
    if holder and holder ~= id then return 'D' .. holder end
    if not holder then
      if o.dm == 2 then call('SET', key, id, 'PX', o.dw) else call('SET', key, id) end
    end
    special.d, special.m = o.dk, o.dm
  end
  local in_line = held.o and held.o == o.ok and moved[2] == queue
  if moved then
    if held.o and not in_line then leave_line(moved[2], held.o, id) end
    call('HDEL', P .. 'kept', id)
  end
  local text = next(special) and true
  if o.ok then
    special.o, text = o.ok, true
    if not in_line and call('RPUSH', line_key(queue, o.ok), id) > 1 then
      call('HSET', P .. 'kept', id, cmsgpack.pack({level, queue, value, counts, cjson.encode(special), o.due or 0}))
      call('HINCRBY', P .. 'waits', queue, 1)
      call('SET', record(id), 'L')
      return 'S'
    end
  end
  place(id, level, queue, value, counts, text and cjson.encode(special) or '', o.due)
  return 'S'
end

-- Who holds an entry, if anybody does: also a session without a record, never «-».
local function holder_of(key, at)
  local pending = pcall_('XPENDING', key, 'w', at, at, 1)
  local holder = not pending.err and pending[1] and pending[1][2]
  return holder and holder ~= NOBODY and holder or nil
end

-- Take a task that nobody runs out of where it waits. Returns level, queue, value, special; nil if it is not there.
local function take_waiting(id, rec)
  local state = string.sub(rec, 1, 1)
  call('HDEL', P .. 'counts', id)
  if state == 'A' then
    local at, level, queue = string.match(rec, '^A(%S+) (%S+) (.*)$')
    local key = lane(level, queue)
    local entry = call('XRANGE', key, at, at)[1]
    pcall_('XACK', key, 'w', at)
    call('XDEL', key, at)
    if not entry then return level, queue, nil, '' end
    return level, queue, entry[2][2], entry[2][6] or ''
  end
  if state == 'D' then call('ZREM', P .. 'delayed', id) end
  local k = unkeep(id)
  if not k then return nil end
  if state ~= 'M' then no_longer_waits(k[2]) end
  return k[1], k[2], k[3], k[5]
end

-- Store what ARGV holds from `first` to `last`: P level queue n, n plain values; or R id level queue value opts.
-- Returns an answer each, and whether all were stored.
local function publish_all(first, last)
  local answers, all = {}, true
  local i = first
  while i <= last do
    if ARGV[i] == 'P' then
      local level, queue, n = ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
      local behind, stored = ' ' .. level .. ' ' .. queue, 0
      know_lane(level, queue)
      for at = i + 4, i + 3 + n do
        local answer = publish_plain(level, queue, behind, ARGV[at])
        if answer == 'S' then stored = stored + 1 else all = false end
        answers[#answers + 1] = answer
      end
      if stored > 0 then ready(queue, stored) end
      i = i + 4 + n
    else
      local answer = publish(ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5])
      if answer ~= 'S' then all = false end
      answers[#answers + 1] = answer
      i = i + 6
    end
  end
  return answers, all
end

-- Append the events of those that `wanted` picks: `lengths` are the sizes of the pieces of `records`, four bytes each.
local function events_of(records, lengths, wanted)
  local from = 1
  for i = 1, #lengths / 4 do
    local size = struct.unpack('>I4', lengths, 4 * i - 3)
    if wanted(i) then event(string.sub(records, from, from + size - 1)) end
    from = from + size
  end
end

-- Last in every script that changed something: wake who waits, push results, append events.
local function conclude(events_max)
  if last_ms then call('HSET', P .. 'meta', 'last', string.format('%d-%d', last_ms, last_n)) end
  for queue, n in pairs(became_ready) do
    local waiting = P .. 'w:' .. queue
    for _, session in ipairs(call('ZRANGEBYSCORE', waiting, NOW, '+inf', 'LIMIT', 0, n)) do
      call('ZREM', waiting, session)
      call('PUBLISH', P .. 'n:' .. session, 'q')
    end
  end
  if #events > 0 then
    call('XADD', P .. 'events', 'MAXLEN', '~', events_max, '*', 'b', table.concat(events))
  end
  for reply, results in pairs(pushes) do call('PUBLISH', P .. 'r:' .. reply, table.concat(results)) end
  if deferred then
    local due = earliest()
    if due and (not due_before or due < due_before) then call('PUBLISH', P .. 'soon', 's') end
  end
end
