-- ARGV: prefix, session, number of this fetch, limit, wait in ms (0: do not register as waiting), 1 if it registered before,
-- number of queues, then for each queue its name and the most it may yield; then, to find what was handed out and never seen, the receipts seen.
-- Returns 'F' if the session was reaped, 'O' if a later fetch has begun, else {more, {queue, level, entries, rich}…}: entries
-- are position and value, one after the other; rich are the number of an entry (from 0), its counts and its special, for those
-- that have any. `more`: the session holds others that were never seen.
local session, number, limit, wait = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local queues = tonumber(ARGV[7])
local state = P .. 'n:' .. session
-- the first write is one that is allowed at maxmemory; it is a beat as well
if call('PEXPIRE', state, DAY) == 0 then return 'F' end
if number <= tonumber(call('HGET', state, 'f') or 0) then return 'O' end
call('HSET', state, 'f', number)

local names, most = {}, {}
for i = 1, queues do
  names[i], most[i] = ARGV[6 + 2 * i], tonumber(ARGV[7 + 2 * i])
end
local seen, recovering = {}, #ARGV > 7 + 2 * queues
for i = 8 + 2 * queues, #ARGV do seen[ARGV[i]] = true end

local function levels(text)
  local found = {}
  for level in string.gmatch(text or '', '|(%-?%d+)|') do found[#found + 1] = level end
  table.sort(found, function(a, b) return tonumber(a) > tonumber(b) end)
  return found
end

local function read(...)
  local answer = pcall_('XREADGROUP', ...)
  if type(answer) == 'table' and answer.err then
    if string.find(answer.err, 'NOGROUP', 1, true) then return nil, true end
    error(answer.err)
  end
  return answer
end

-- Where the lanes of an entry that was cancelled for, or started for the first time, have to be told.
local wishes = call('EXISTS', P .. 'wishes') == 1
local function handed_out(entry, queue, first)
  local id = string.sub(entry[2], 1, 36)
  if entry[4] ~= '' then
    local s = cjson.decode(entry[4])
    if s.m == 1 and call('GET', dedup_key(queue, s.d)) == id then call('DEL', dedup_key(queue, s.d)) end
  end
  if wishes and call('HEXISTS', P .. 'wishes', id) == 1 then
    call('HSET', P .. 'wishes', id, session)
    call('RPUSH', P .. 'g:' .. session, id)
    call('PEXPIRE', P .. 'g:' .. session, DAY)
    call('PUBLISH', P .. 'n:' .. session, 'c')
  end
end

local function pack(raw, counts)
  local fields = raw[2]
  return {raw[1], fields[2], counts or fields[4] or '', fields[6] or ''}
end

local function flat(entries)
  local pairs_, rich = {}, {}
  for at, entry in ipairs(entries) do
    pairs_[2 * at - 1], pairs_[2 * at] = entry[1], entry[2]
    if entry[3] ~= '' or entry[4] ~= '' then
      rich[#rich + 1], rich[#rich + 2], rich[#rich + 3] = at - 1, entry[3], entry[4]
    end
  end
  return pairs_, rich
end

local function changed_counts(entries)
  local ids = {}
  for i, raw in ipairs(entries) do ids[i] = string.sub(raw[2][2], 1, 36) end
  return call('HMGET', P .. 'counts', unpack(ids))
end

local parts, taken, more = {}, 0, 0
for i = 1, queues do
  local queue = names[i]
  local room = math.min(most[i], limit - taken)
  if recovering or (room > 0 and call('SISMEMBER', P .. 'paused', queue) == 0) then
    for _, level in ipairs(levels(call('HGET', P .. 'lanes', queue))) do
      local key = lane(level, queue)
      local entries = {}
      if recovering then
        local answer = read('GROUP', 'w', session, 'STREAMS', key, '0')
        local unseen = {}
        for _, raw in ipairs(answer and answer[1][2] or {}) do
          if raw[2] and not seen[raw[1]] then unseen[#unseen + 1] = raw end
        end
        if #unseen > 0 then
          local counts = changed_counts(unseen)
          for at, raw in ipairs(unseen) do
            if #entries < room then entries[#entries + 1] = pack(raw, counts[at]) else more = 1 end
          end
        end
      elseif room > 0 then
        local back = pcall_('XPENDING', key, 'w', '-', '+', room, NOBODY)
        if back.err then
          if not string.find(back.err, 'NOGROUP', 1, true) then error(back.err) end
          if call('EXISTS', key) == 1 then call('XGROUP', 'CREATE', key, 'w', '0') end
          back = {}
        end
        if #back > 0 then
          local ids = {}
          for at, pending in ipairs(back) do ids[at] = pending[1] end
          local claimed = {}
          for at, raw in ipairs(call('XCLAIM', key, 'w', session, 0, unpack(ids))) do
            -- before Redis 7 false stands for what somebody deleted, and it stays pending
            if raw then claimed[#claimed + 1] = raw else call('XACK', key, 'w', ids[at]) end
          end
          if #claimed > 0 then
            local counts = changed_counts(claimed)
            for at, raw in ipairs(claimed) do
              local entry = pack(raw, counts[at])
              entries[#entries + 1] = entry
              if wishes or entry[4] ~= '' then handed_out(entry, queue) end
            end
          end
        end
        if #entries < room then
          local answer, no_group = read('GROUP', 'w', session, 'COUNT', room - #entries, 'STREAMS', key, '>')
          for _, raw in ipairs(not no_group and answer and answer[1][2] or {}) do
            local entry = pack(raw)
            entries[#entries + 1] = entry
            if entry[4] ~= '' or (wishes and entry[3] ~= '') then handed_out(entry, queue) end
          end
        end
      end
      if #entries > 0 then
        parts[#parts + 1] = {queue, level, flat(entries)}
        room, taken = room - #entries, taken + #entries
      end
    end
  end
end

if taken > 0 and ARGV[6] == '1' then
  for i = 1, queues do call('ZREM', P .. 'w:' .. names[i], session) end
elseif taken == 0 and wait > 0 then
  for i = 1, queues do
    local waiting = P .. 'w:' .. names[i]
    call('ZADD', waiting, NOW + wait, session)
    call('PEXPIRE', waiting, math.max(wait + 60000, call('PTTL', waiting)))
  end
end
return {more, unpack(parts)}
