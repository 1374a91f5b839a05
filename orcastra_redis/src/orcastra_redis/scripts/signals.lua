-- What a session is to be told. ARGV: prefix, session, how many of what it was told last have arrived: those are forgotten.
-- Returns 'F' if it was reaped, else the ids of tasks to cancel.
if call('EXISTS', P .. 'n:' .. ARGV[2]) == 0 then return 'F' end
local wishes = P .. 'g:' .. ARGV[2]
if ARGV[3] ~= '0' then call('LTRIM', wishes, ARGV[3], -1) end
return call('LRANGE', wishes, 0, -1)
