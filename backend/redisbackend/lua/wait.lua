-- wait: renews claims that wait, lowers weights, and grants whatever is due on their keys. All items
-- are refreshed before the first grant, else advancing for one could drop the next of the same
-- batch as dead.
-- KEYS  L Q S C per item
-- ARGV  push, then att ttl metaSeq meta weight per item (weight 0: as it is)
-- returns  per item G now tok left | A now tok left grace reason | Q now rank next | U now

verb = ARGV[1]
local n = #KEYS / 4
local keys, own, order = {}, {}, {}

for i = 1, n do
  local j = 5 * i - 3
  local L, a, ttl, seq, meta, weight = KEYS[4 * i - 3], ARGV[j], ARGV[j + 1], ARGV[j + 2], ARGV[j + 3], tonumber(ARGV[j + 4])
  local k, r = load(L, KEYS[4 * i - 2], KEYS[4 * i - 1], KEYS[4 * i], a)
  if not keys[L] then
    keys[L], own[L] = k, {}
    order[#order + 1] = L
  end
  k = keys[L]
  if k.m and r and now < r.x then
    if r.st == 'q' then
      own[L][a] = true
      r.ttl = ttl
    elseif k.m == 's' and weight > 0 and weight < r.w then
      redis.call('PEXPIREAT', k.L, expiry(k)) -- see extend
      use(k, weight - r.w)
      r.w = weight
    end
    extend(k, a, r, ttl, seq, meta)
    if r.st == 'q' then
      if not redis.call('ZSCORE', k.Q, a) then enter(k, a, r) end -- the queue was evicted
      redis.call('PEXPIREAT', k.Q, int(k.z + 1000))
    end
  end
end

for _, L in ipairs(order) do
  if keys[L].m then advance(keys[L], own[L]) end
end

local out = {}
for i = 1, n do
  local k, a = keys[KEYS[4 * i - 3]], ARGV[5 * i - 3]
  local r = k.m and find(k, a)
  if not r or now >= r.x then
    out[i] = bare('U')
  elseif r.st == 'q' then
    out[i] = queued(k, a)
  else
    out[i] = granted(k, a, r)
  end
end

for _, L in ipairs(order) do
  if keys[L].m then sweep(keys[L]) end
end
return out
