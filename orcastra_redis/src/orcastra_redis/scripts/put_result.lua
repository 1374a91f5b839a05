-- Store a result of a queue elsewhere. ARGV: prefix, id, ttl (ms), reply, result, and the result that it replaces ('' for none).
-- Returns 1, or 0 if there is another now.
local rec = call('GET', record(ARGV[2]))
local now_there = rec and string.match(rec, '^F%d+ (.*)$') or ''
if (rec and string.sub(rec, 1, 1) ~= 'F') or now_there ~= ARGV[6] then return 0 end
finish(ARGV[2], ARGV[5], tonumber(ARGV[3]))
push(ARGV[4], ARGV[5])
conclude('0')
return 1
