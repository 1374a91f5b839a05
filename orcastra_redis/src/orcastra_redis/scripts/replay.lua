-- ARGV: prefix, events_max, then for each letter: id, level, queue, value, opts ('{}' for none), events.
-- Returns for each '' if there is no such letter, or what publish answered.
local answers = {}
for i = 3, #ARGV, 6 do
  local id, queue = ARGV[i], ARGV[i + 2]
  local letter, answer = P .. 'x:' .. id, ''
  if call('EXISTS', letter) == 1 then
    call('DEL', record(id))
    answer = publish(id, ARGV[i + 1], queue, ARGV[i + 3], ARGV[i + 4])
    if answer == 'S' then
      call('DEL', letter, P .. 'y:' .. id)
      call('ZREM', P .. 'dead', id)
      call('ZREM', P .. 'dead:' .. queue, id)
      event(ARGV[i + 5])
    else
      call('SET', record(id), 'X', 'PX', math.max(1, call('PTTL', letter)))
    end
  end
  answers[#answers + 1] = answer
end
conclude(ARGV[2])
return answers
