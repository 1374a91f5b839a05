-- Publish what one schedule calls for and move it on, if its due is still the expected one.
-- ARGV: prefix, events_max, id, expected due, next due or '', 1 if it fires once, seconds until it is tried again, then the
-- envelopes as for publish_all. Returns what publish answered; nothing if the schedule is another now.
local id, once = ARGV[3], ARGV[6] == '1'
local dues, looks = P .. 'schedule:due', P .. 'schedule:look'
if call('HGET', dues, id) ~= ARGV[4] then return {} end
local answers = publish_all(8, #ARGV)
local unanswered = false
for _, answer in ipairs(answers) do unanswered = unanswered or answer == 'U' end
local next_due = ARGV[5]
if unanswered then next_due = once and string.format('%.6f', NOW_S + ARGV[7]) or nil end
if next_due == '' then
  call('HDEL', P .. 'schedules', id)
  call('HDEL', dues, id)
  call('ZREM', looks, id)
  call('ZREM', P .. 'schedule:ids', id)
elseif next_due then
  defer_at(next_due)
  call('HSET', dues, id, next_due)
  call('ZADD', looks, next_due, id)
end
conclude(ARGV[2])
return answers
