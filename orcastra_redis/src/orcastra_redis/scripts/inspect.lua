-- ARGV: prefix, then queues; none: all that are known. Returns {queue, ready, delayed, running, dead, oldest (ms, -1: none), paused}….
local names = {}
for i = 2, #ARGV do names[#names + 1] = ARGV[i] end
if #names == 0 then
  names = call('HKEYS', P .. 'lanes')
  table.sort(names)
end
local answers = {}
for _, queue in ipairs(names) do
  local waiting, running, oldest = 0, 0, nil
  local function seen(at)
    local age = NOW - tonumber(string.match(at, '^(%d+)'))
    if not oldest or age > oldest then oldest = age end
  end
  for level in string.gmatch(call('HGET', P .. 'lanes', queue) or '', '|(%-?%d+)|') do
    local key = lane(level, queue)
    local held = 0
    local last = '-'
    local groups = call('EXISTS', key) == 1 and call('XINFO', 'GROUPS', key) or {}
    if groups[1] then
      held = groups[1][6]
      last = '(' .. groups[1][8]
      local back = call('XPENDING', key, 'w', '-', '+', 1, NOBODY)
      if back[1] then seen(back[1][1]) end
      for _, consumer in ipairs(call('XINFO', 'CONSUMERS', key, 'w')) do
        if consumer[2] == NOBODY then held = held - consumer[4] end
      end
    end
    local next_one = call('XRANGE', key, last, '+', 'COUNT', 1)
    if next_one[1] then seen(next_one[1][1]) end
    running = running + held
    waiting = waiting + call('XLEN', key) - held
  end
  answers[#answers + 1] = {
    queue, waiting, tonumber(call('HGET', P .. 'waits', queue) or 0), running, call('ZCARD', P .. 'dead:' .. queue),
    oldest and math.max(0, oldest) or -1, call('SISMEMBER', P .. 'paused', queue),
  }
end
return answers
