-- ARGV: prefix, events_max, then for each wish: id, ttl (ms), result, events.
-- Returns for each 'U' unknown, 'T' too late, 'S' signalled, or 'R': it waited, and was removed.

-- Where the result of an envelope is waited for: of its CBOR (docs/reference/wire-format.md) the text under key 6.
local function reply_in(bytes)
  local at = 1
  local function head()
    local first = string.byte(bytes, at)
    local major, argument = math.floor(first / 32), first % 32
    at = at + 1
    if argument > 27 then error('no definite length') end
    if argument > 23 then
      local size = 2 ^ (argument - 24)
      argument, at = struct.unpack('>I' .. size, bytes, at)
    end
    return major, argument
  end
  local function skip()
    local major, argument = head()
    if major == 2 or major == 3 then at = at + argument end
    for _ = 1, major == 4 and argument or major == 5 and 2 * argument or major == 6 and 1 or 0 do skip() end
  end
  local major, size = head()
  for _ = 1, major == 5 and size or 0 do
    local start = at
    local kind, key = head()
    if kind == 0 and key == 6 then
      local what, length = head()
      return what == 3 and string.sub(bytes, at, at + length - 1) or ''
    end
    at = start
    skip()
    skip()
  end
  return ''
end

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
      call('HDEL', P .. 'wishes', id)
      finish(id, ARGV[i + 2], tonumber(ARGV[i + 1]))
      if queue_ then free_keys(id, queue_, special) end
      if value then
        local readable, reply = pcall(reply_in, string.sub(value, 37))
        if readable then push(reply, ARGV[i + 2]) end
      end
      event(ARGV[i + 3])
      answer = 'R'
    end
  end
  answers[#answers + 1] = answer
end
conclude(ARGV[2])
return answers
