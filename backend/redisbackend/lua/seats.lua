-- seats: reads a part of those who are seated. Writes nothing.
-- KEYS  L
-- ARGV  cursor: 0, or what the last part returned
-- returns  {now, cursor of the next part or 0, then att record blob per claim}

local scan = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', 512)
local fields, list = {}, {}
for i = 1, #scan[2], 2 do
  local a = string.match(scan[2][i], '^c(.*)$')
  if a and string.sub(scan[2][i + 1], 1, 1) ~= 'q' then
    fields[#fields + 1] = 'o' .. a
    list[#list + 1] = {a, scan[2][i + 1]}
  end
end
local out = {stamp, scan[1]}
if #list > 0 then
  local blobs = redis.call('HMGET', KEYS[1], unpack(fields))
  for i, c in ipairs(list) do
    out[#out + 1] = c[1]
    out[#out + 1] = c[2]
    out[#out + 1] = blobs[i] or ''
  end
end
return out
