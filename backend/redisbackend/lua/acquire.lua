-- acquire: asks for the seat of a key, or for a place in its queue.
-- KEYS  L Q C X (X: tombstone of the attempt)
-- ARGV  att ttl win queue notAfter proc maxq push blob
-- returns  G now tok left | A now tok left grace reason | Q now rank next | H now att record blob |
--          F now (full) | C now limit (conflict) | X now (gone) | S now (stale)
-- now is two words, seconds and microseconds, here and in all other replies

local a, ttl, win = ARGV[1], ARGV[2], ARGV[3]
local wait, notAfter, proc, maxq, verb, blob = ARGV[4] == '1', tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7]), ARGV[8], ARGV[9]

if now > notAfter then return bare('S') end
local xc = redis.call('MGET', KEYS[4], KEYS[3])
if xc[1] then return bare('X') end

local k, r = load(KEYS[1], KEYS[2], KEYS[3], a)
k.c = xc[2]
if k.m and k.m ~= 'x' then
  return bare('C') .. ' ' .. (redis.call('HGET', k.L, 'lim') or '0')
end

local holder
if k.m then
  if r and r.st ~= 'q' and now < r.x then
    redis.call('PEXPIREAT', k.L, int(k.z + 1000)) -- a write, for WAIT is about those of its connection
    return granted(k, a, r) -- unchanged
  end
  if r and r.st == 'q' then
    r.ttl, r.win, r.proc, r.x = ttl, win, proc, now + ttl
    put(k, a, r)
    if not redis.call('ZSCORE', k.Q, a) then enter(k, a, r) end -- the queue was evicted
    redis.call('PEXPIREAT', k.Q, int(k.z + 1000))
  end
  holder = advance(k, {[a] = true}, verb)
  if k.h == a and not holder then return granted(k, a, find(k, a)) end
  if k.h ~= a and r and r.st == 'q' then return queued(k, a) end
end

r = {st = 'q', w = '1', ttl = ttl, win = win, d = '0', prio = '0', x = now + ttl, tok = '0', proc = proc}
local extra = {}
if blob ~= '' then extra = {'o' .. a, blob} end

if not k.h then -- and so nobody waits
  seat(k, a, r, ttl, unpack(extra))
  return granted(k, a, r)
end

if not wait or k.h == a then -- k.h == a: the own seat has lapsed and still blocks, for its delay
  holder = holder or find(k, k.h)
  return bare('H') .. ' ' .. k.h .. ' ' .. record(holder) .. ' ' .. (redis.call('HGET', k.L, 'o' .. k.h) or '')
end

if redis.call('ZCARD', k.Q) >= maxq then
  -- Dead claims behind a live head are skipped by nobody, so look at the tail before refusing.
  for _, b in ipairs(redis.call('ZREVRANGE', k.Q, 0, 63)) do
    local w = find(k, b)
    if not w or w.st ~= 'q' then
      redis.call('ZREM', k.Q, b)
    elseif now >= w.x then
      redis.call('ZREM', k.Q, b)
      drop(k, b)
    end
  end
  if redis.call('ZCARD', k.Q) >= maxq then return bare('F') end
end

enter(k, a, r)
put(k, a, r, unpack(extra))
redis.call('PEXPIREAT', k.Q, int(k.z + 1000))
return queued(k, a)
