-- Make delayed tasks ready whose moment has come, in the order of their moments. ARGV: prefix, events_max, most (hundreds).
-- Returns {how many, seconds until the next delayed task or schedule is due or '', now}.
local due = call('ZRANGEBYSCORE', P .. 'delayed', '-inf', NOW_S, 'LIMIT', 0, ARGV[3])
if #due > 0 then
  call('ZREM', P .. 'delayed', unpack(due)) -- a first write that is allowed at maxmemory, and so are those after it
  local kept = call('HMGET', P .. 'kept', unpack(due))
  call('HDEL', P .. 'kept', unpack(due))
  local leaving = {}
  for at, id in ipairs(due) do
    if kept[at] then
      local k = cmsgpack.unpack(kept[at])
      leaving[k[2]] = (leaving[k[2]] or 0) + 1
      place(id, k[1], k[2], k[3], k[4], k[5])
    end
  end
  for queue, n in pairs(leaving) do
    if call('HINCRBY', P .. 'waits', queue, -n) <= 0 then call('HDEL', P .. 'waits', queue) end
  end
end
conclude(ARGV[2])
local next_due = earliest()
return {#due, next_due and string.format('%.6f', math.max(0, next_due - NOW_S)) or '', string.format('%.6f', NOW_S)}
