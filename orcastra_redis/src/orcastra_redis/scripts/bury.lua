-- Store dead letters of a queue elsewhere. ARGV: prefix, then for each: id, queue, value, counts, reason, error, at.
for i = 2, #ARGV, 7 do
  local id, queue = ARGV[i], ARGV[i + 1]
  local key = P .. 'x:' .. id
  if call('EXISTS', key) == 0 then
    call('HSET', key, 'q', queue, 'e', ARGV[i + 2], 'c', ARGV[i + 3], 'r', ARGV[i + 4], 'x', ARGV[i + 5], 'at', ARGV[i + 6], 's', '')
    call('PEXPIRE', key, 30 * DAY)
    call('ZADD', P .. 'dead', 0, id)
    call('ZADD', P .. 'dead:' .. queue, 0, id)
    call('SET', record(id), 'X', 'PX', 30 * DAY)
  end
end
return 1
