-- Put bytes that are no envelope into a queue. For tests. ARGV: prefix, id, queue, bytes.
local at = append('0', ARGV[3], ARGV[2] .. ARGV[4], '', '')
call('SET', record(ARGV[2]), 'A' .. at .. ' 0 ' .. ARGV[3])
ready(ARGV[3], 1)
conclude('0')
return 1
