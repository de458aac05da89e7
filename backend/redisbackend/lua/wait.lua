-- wait: renews claims that wait and grants whatever is due on their keys. All items are refreshed
-- before the first grant, else advancing for one could drop the next of the same batch as dead.
-- KEYS  L Q C per item
-- ARGV  push, then att ttl metaSeq meta per item
-- returns  per item G now tok left | A now tok left grace reason | Q now rank next | U now

local verb = ARGV[1]
local n = #KEYS / 3
local keys, own, order = {}, {}, {}

for i = 1, n do
  local L, a, ttl, seq, meta = KEYS[3 * i - 2], ARGV[4 * i - 2], ARGV[4 * i - 1], ARGV[4 * i], ARGV[4 * i + 1]
  local k, r = load(L, KEYS[3 * i - 1], KEYS[3 * i], a)
  if not keys[L] then
    keys[L], own[L] = k, {}
    order[#order + 1] = L
  end
  k = keys[L]
  if k.m == 'x' and r and now < r.x then
    if r.st == 'q' then
      own[L][a] = true
      r.ttl = ttl
    end
    extend(k, a, r, ttl, seq, meta)
    if r.st == 'q' then
      if not redis.call('ZSCORE', k.Q, a) then enter(k, a, r) end -- the queue was evicted
      redis.call('PEXPIREAT', k.Q, int(k.z + 1000))
    end
  end
end

for _, L in ipairs(order) do
  if keys[L].m == 'x' then advance(keys[L], own[L], verb) end
end

local out = {}
for i = 1, n do
  local k, a = keys[KEYS[3 * i - 2]], ARGV[4 * i - 2]
  local r = k.m == 'x' and find(k, a)
  if not r or now >= r.x then
    out[i] = bare('U')
  elseif r.st == 'q' then
    out[i] = queued(k, a)
  else
    out[i] = granted(k, a, r)
  end
end

for _, L in ipairs(order) do
  if keys[L].m == 'x' and not keys[L].h then redis.call('DEL', L) end -- and so nobody waits
end
return out
