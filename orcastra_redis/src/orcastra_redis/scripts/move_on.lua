-- Note a migration's end, if nobody else has. ARGV: prefix, layout before, layout, contract.
local meta = P .. 'meta'
if call('HGET', meta, 'layout') ~= ARGV[2] then return 0 end
call('HSET', meta, 'layout', ARGV[3], 'contract', ARGV[4])
return 1
