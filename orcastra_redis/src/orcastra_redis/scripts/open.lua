-- Check or make the layout. ARGV: prefix, layout, contract. Returns {layout, contract} as stored.
local meta = P .. 'meta'
call('HSETNX', meta, 'layout', ARGV[2])
call('HSETNX', meta, 'contract', ARGV[3])
return call('HMGET', meta, 'layout', 'contract')
