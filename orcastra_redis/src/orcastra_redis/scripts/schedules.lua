-- ARGV: prefix, then one of
--   add ID DUE LOOK-OR-'' PACKED EXPECTED   compare-and-set on what is stored ('' for nothing); 1, or 0 if it is another now
--   remove IDS…                             1 or 0 for each
--   get IDS… | page AFTER MOST              {packed, due} for each, '' for none
--   claim MOST LEASE                        {now, {packed, due}…}: due and not claimed, taken for LEASE seconds; 0: only told
--   settle (ID EXPECTED-DUE NEXT-OR-'')…    1 or 0 for each
local what = ARGV[2]
local packed, dues, looks, ids = P .. 'schedules', P .. 'schedule:due', P .. 'schedule:look', P .. 'schedule:ids'

local function get(id)
  local found = call('HGET', packed, id)
  return found and {found, call('HGET', dues, id)} or ''
end

local function remove(id)
  call('HDEL', dues, id)
  call('ZREM', looks, id)
  call('ZREM', ids, id)
  return call('HDEL', packed, id)
end

local function move(id, due)
  call('HSET', dues, id, due)
  if call('ZSCORE', looks, id) then
    defer_at(due)
    call('ZADD', looks, due, id)
  end
end

if what == 'add' then
  local id, due, look = ARGV[3], ARGV[4], ARGV[5]
  if (call('HGET', packed, id) or '') ~= ARGV[7] then return 0 end
  defer_at(due)
  call('HSET', packed, id, ARGV[6])
  call('HSET', dues, id, due)
  call('ZADD', ids, 0, id)
  if look == '' then call('ZREM', looks, id) elseif look ~= 'keep' then call('ZADD', looks, look, id) end
  conclude('0')
  return 1
end
local answers = {}
if what == 'remove' then
  for i = 3, #ARGV do answers[#answers + 1] = remove(ARGV[i]) end
elseif what == 'get' then
  for i = 3, #ARGV do answers[#answers + 1] = get(ARGV[i]) end
elseif what == 'page' then
  for _, id in ipairs(call('ZRANGEBYLEX', ids, ARGV[3] ~= '' and '(' .. ARGV[3] or '-', '+', 'LIMIT', 0, ARGV[4])) do
    answers[#answers + 1] = get(id)
  end
elseif what == 'claim' then
  answers[1] = string.format('%.6f', NOW_S)
  for _, id in ipairs(call('ZRANGEBYSCORE', looks, '-inf', NOW_S, 'LIMIT', 0, ARGV[3])) do
    if ARGV[4] ~= '0' then call('ZADD', looks, NOW_S + ARGV[4], id) end
    answers[#answers + 1] = get(id)
  end
elseif what == 'settle' then
  for i = 3, #ARGV, 3 do
    local id, expected, next_due = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    local same = call('HGET', dues, id) == expected
    if same and next_due == '' then remove(id) elseif same then move(id, next_due) end
    answers[#answers + 1] = same and 1 or 0
  end
  conclude('0')
end
return answers
