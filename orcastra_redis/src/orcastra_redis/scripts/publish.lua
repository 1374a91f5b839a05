-- ARGV: prefix, events_max, the envelopes' events one behind the other, their lengths, then the envelopes: see publish_all.
-- Returns an answer each; nothing if all were stored.
local answers, all = publish_all(5, #ARGV)
if all then
  event(ARGV[3])
else
  events_of(ARGV[3], ARGV[4], function(i) return answers[i] == 'S' end)
end
conclude(ARGV[2])
return all and {} or answers
