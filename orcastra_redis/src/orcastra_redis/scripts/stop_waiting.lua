-- A fetch that waited was given up, or has what it wanted. ARGV: prefix, session, 1 to pass its wake-up on, then queues.
for i = 4, #ARGV do
  local queue = ARGV[i]
  call('ZREM', P .. 'w:' .. queue, ARGV[2])
  if ARGV[3] == '1' then ready(queue, 1) end
end
conclude('0')
return 1
