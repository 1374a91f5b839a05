-- Forget some of what waits in a queue, keys and all. ARGV: prefix, queue, 'ready' or 'delayed', most, and for ready the last
-- position to touch ('' at first). Returns {how many, the last position to touch, 1 if there may be more}.
local queue, most = ARGV[2], tonumber(ARGV[4])
local until_ = ARGV[5] ~= '' and ARGV[5] or call('HGET', P .. 'meta', 'last') or '0-0'
local ids = {}
if ARGV[3] == 'ready' then
  for level in string.gmatch(call('HGET', P .. 'lanes', queue) or '', '|(%-?%d+)|') do
    local key = lane(level, queue)
    local groups = call('EXISTS', key) == 1 and call('XINFO', 'GROUPS', key) or {}
    local found, from = {}, '-'
    if groups[1] then
      for _, pending in ipairs(call('XPENDING', key, 'w', '-', until_, most, NOBODY)) do found[#found + 1] = pending[1] end
      from = '(' .. groups[1][8]
    end
    for _, at in ipairs(found) do
      local entry = call('XRANGE', key, at, at)[1]
      if entry then ids[#ids + 1] = string.sub(entry[2][2], 1, 36) end
    end
    -- a range that begins behind its end is an error
    local fresh = pcall_('XRANGE', key, from, until_, 'COUNT', most)
    if not fresh.err then
      for _, entry in ipairs(fresh) do ids[#ids + 1] = string.sub(entry[2][2], 1, 36) end
    end
  end
else
  local cursor = '0'
  repeat
    local page = call('HSCAN', P .. 'kept', cursor, 'COUNT', 1000)
    cursor = page[1]
    for i = 1, #page[2], 2 do
      local state = call('GET', record(page[2][i]))
      if (state == 'D' or state == 'L') and cmsgpack.unpack(page[2][i + 1])[2] == queue then ids[#ids + 1] = page[2][i] end
    end
  until cursor == '0' or #ids >= most
end
-- first all of them, so that no key hands on to one that goes too
local taken = {}
for at = 1, math.min(most, #ids) do
  local id = ids[at]
  local _, _, _, special = take_waiting(id, call('GET', record(id)) or 'A0-0 0 ' .. queue)
  call('DEL', record(id))
  call('HDEL', P .. 'wishes', id)
  taken[at] = {id, special or ''}
end
for _, one in ipairs(taken) do free_keys(one[1], queue, one[2], true) end
conclude('0')
return {#taken, until_, #ids >= most and 1 or 0}
