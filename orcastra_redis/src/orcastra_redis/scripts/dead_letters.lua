-- ARGV: prefix, 'page' or 'ids', queue or '', the id behind which to begin or '', most; or 'get', ids.
-- Returns for each letter {id, queue, value, counts, reason, error, at}, '' for none, or with 'ids' its id. A page passes over
-- those that expired.
local answers = {}
local function letter(id)
  local f = call('HMGET', P .. 'x:' .. id, 'q', 'e', 'c', 'r', 'x', 'at')
  return f[1] and {id, f[1], f[2], f[3], f[4], f[5], f[6]} or ''
end
if ARGV[2] == 'get' then
  for i = 3, #ARGV do answers[#answers + 1] = letter(ARGV[i]) end
  return answers
end
local index = P .. 'dead' .. (ARGV[3] ~= '' and ':' .. ARGV[3] or '')
local from = ARGV[4] ~= '' and '(' .. ARGV[4] or '-'
if ARGV[2] == 'ids' then return call('ZRANGEBYLEX', index, from, '+', 'LIMIT', 0, ARGV[5]) end
repeat
  local ids = call('ZRANGEBYLEX', index, from, '+', 'LIMIT', 0, ARGV[5] - #answers)
  for _, id in ipairs(ids) do
    local found = letter(id)
    if found == '' then call('ZREM', index, id) else answers[#answers + 1] = found end
    from = '(' .. id
  end
until #ids == 0
return answers
