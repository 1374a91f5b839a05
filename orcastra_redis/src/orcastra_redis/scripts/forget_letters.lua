-- ARGV: prefix, seconds for which they have been dead, the queue or '', 1 to forget the tasks too (else their ids and results
-- are remembered as those of finished ones), then ids. Returns how many were forgotten.
local forgotten = 0
for i = 5, #ARGV do
  local id = ARGV[i]
  local letter, result = P .. 'x:' .. id, P .. 'y:' .. id
  local queue, at, special = unpack(call('HMGET', letter, 'q', 'at', 's'))
  if queue and tonumber(at) <= NOW_S - tonumber(ARGV[2]) and (ARGV[3] == '' or ARGV[3] == queue) then
    if ARGV[4] == '1' then
      call('DEL', record(id))
      free_keys(id, queue, special, true)
    else
      finish(id, call('GET', result) or '', math.max(0, call('PTTL', result)))
    end
    call('DEL', letter, result)
    call('ZREM', P .. 'dead', id)
    call('ZREM', P .. 'dead:' .. queue, id)
    forgotten = forgotten + 1
  elseif not queue then
    call('ZREM', P .. 'dead' .. (ARGV[3] ~= '' and ':' .. ARGV[3] or ''), id) -- it expired
  end
end
return forgotten
