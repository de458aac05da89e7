-- inspect: reads who is seated and who waits. Writes nothing.
-- KEYS  L Q
-- ARGV  none
-- returns  {now, limit, size of the queue, then att record blob per claim: the holder, 100 waiters}

local v = redis.call('HMGET', KEYS[1], 'm', 'h', 'lim')
local list = redis.call('ZRANGE', KEYS[2], 0, 99)
if v[2] then table.insert(list, 1, v[2]) end
local out = {stamp, v[1] and v[1] ~= 'x' and v[3] or '1', int(redis.call('ZCARD', KEYS[2]))}
if #list > 0 then
  local fields = {}
  for _, a in ipairs(list) do
    fields[#fields + 1] = 'c' .. a
    fields[#fields + 1] = 'o' .. a
  end
  local f = redis.call('HMGET', KEYS[1], unpack(fields))
  for i, a in ipairs(list) do
    out[#out + 1] = a
    out[#out + 1] = f[2 * i - 1] or ''
    out[#out + 1] = f[2 * i] or ''
  end
end
return out
