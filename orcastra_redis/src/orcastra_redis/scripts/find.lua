-- ARGV: prefix, ids. Returns for each '' or {state, queue, value, counts, due, session}, the state as in its record, or 'H' held.
local answers = {}
for i = 2, #ARGV do
  local id = ARGV[i]
  local rec = call('GET', record(id))
  local state = rec and string.sub(rec, 1, 1)
  local answer = ''
  if state == 'F' then
    answer = {'F'}
  elseif state == 'X' then
    local letter = call('HMGET', P .. 'x:' .. id, 'q', 'e', 'c')
    answer = letter[1] and {'X', letter[1], letter[2], letter[3], '', ''} or {'F'}
  elseif state == 'A' then
    local at, level, queue = string.match(rec, '^A(%S+) (%S+) (.*)$')
    local entry = call('XRANGE', lane(level, queue), at, at)[1]
    if entry then
      local counts = call('HGET', P .. 'counts', id) or entry[2][4] or ''
      local holder = holder_of(lane(level, queue), at)
      answer = {holder and 'H' or 'A', queue, entry[2][2], counts, '', holder or ''}
    end
  elseif state then
    local packed = call('HGET', P .. 'kept', id)
    if packed then
      local k = cmsgpack.unpack(packed)
      answer = {state, k[2], k[3], k[4], state == 'D' and call('ZSCORE', P .. 'delayed', id) or '', ''}
    end
  end
  answers[#answers + 1] = answer
end
return answers
