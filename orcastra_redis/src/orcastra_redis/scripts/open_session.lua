-- ARGV: prefix, session, lease (ms), then the queues it will fetch from.
-- The first write is one that is allowed at maxmemory, and so are those behind it: who works makes room.
call('PEXPIRE', P .. 'n:' .. ARGV[2], DAY)
call('HSET', P .. 'n:' .. ARGV[2], 'lease', ARGV[3])
call('PEXPIRE', P .. 'n:' .. ARGV[2], DAY)
call('SADD', P .. 'sessions', ARGV[2])
for i = 4, #ARGV do call('HSETNX', P .. 'lanes', ARGV[i], '') end
return 1
