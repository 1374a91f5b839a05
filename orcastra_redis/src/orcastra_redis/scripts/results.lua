-- ARGV: prefix, ids. Returns for each 'P' pending, 'E' expired, 'U' unknown, or 'R' and the result.
local answers = {}
for i = 2, #ARGV do
  local id = ARGV[i]
  local rec = call('GET', record(id))
  local state = rec and string.sub(rec, 1, 1)
  local answer = 'P'
  if not rec then
    answer = 'U'
  elseif state == 'F' then
    local expires, result = string.match(rec, '^F(%d+) (.*)$')
    answer = tonumber(expires) > NOW and 'R' .. result or 'E'
  elseif state == 'X' then
    local result = call('GET', P .. 'y:' .. id)
    answer = result and 'R' .. result or 'E'
  end
  answers[#answers + 1] = answer
end
return answers
