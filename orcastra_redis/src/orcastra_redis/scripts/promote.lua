-- Make delayed tasks ready whose moment has come, in the order of their moments. ARGV: prefix, events_max, most.
-- Returns {how many, seconds until the next delayed task or schedule is due or '', now}.
local due = call('ZRANGEBYSCORE', P .. 'delayed', '-inf', NOW_S, 'LIMIT', 0, ARGV[3])
for _, id in ipairs(due) do
  call('ZREM', P .. 'delayed', id)
  local k = unkeep(id)
  if k then
    no_longer_waits(k[2])
    place(id, k[1], k[2], k[3], k[4], k[5])
  end
end
conclude(ARGV[2])
local next_due = earliest()
return {#due, next_due and string.format('%.6f', math.max(0, next_due - NOW_S)) or '', string.format('%.6f', NOW_S)}
