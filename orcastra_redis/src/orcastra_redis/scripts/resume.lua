-- End a pause and wake who waits. ARGV: prefix, then queues.
for i = 2, #ARGV do
  call('SREM', P .. 'paused', ARGV[i])
  ready(ARGV[i], 1000)
end
conclude('0')
return 1
