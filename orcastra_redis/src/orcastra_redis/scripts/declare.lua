-- Make queues known. ARGV: prefix, then queues.
call('HDEL', P .. 'meta', '-') -- of nothing: a first write that is allowed at maxmemory
for i = 2, #ARGV do call('HSETNX', P .. 'lanes', ARGV[i], '') end
return 1
