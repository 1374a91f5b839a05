-- Make the layout where there is none. ARGV: prefix, layout, contract. Returns {layout, contract} as stored.
local meta = P .. 'meta'
call('HDEL', meta, '-') -- of nothing: a first write that is allowed at maxmemory, but not to a replica
if call('HEXISTS', meta, 'layout') == 0 then call('HSET', meta, 'layout', ARGV[2], 'contract', ARGV[3]) end
return call('HMGET', meta, 'layout', 'contract')
