-- inspect: reads who is seated and who waits. Writes nothing.
-- KEYS  L Q S
-- ARGV  none
-- returns  {now, limit, size of the queue, then att record blob per claim: 100 holders, 100 waiters}

local v = redis.call('HMGET', KEYS[1], 'm', 'h', 'lim')
local list = {}
if v[1] == 's' then list = redis.call('ZRANGE', KEYS[3], 0, 99) elseif v[2] then list[1] = v[2] end
for _, a in ipairs(redis.call('ZRANGE', KEYS[2], 0, 99)) do list[#list + 1] = a end
local out = {stamp, v[1] == 's' and v[3] or '1', int(redis.call('ZCARD', KEYS[2]))}
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
