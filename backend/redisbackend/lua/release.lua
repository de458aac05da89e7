-- release: ends a claim and grants to the next.
-- KEYS  L Q S C X (X: tombstone of the attempt)
-- ARGV  att unclean tombUntil push to
-- returns  H (was held) | L (lapsed) | W (waiting) | N (nothing), now, and !error if the tombstone failed

local a, unclean, tomb, to = ARGV[1], ARGV[2] == '1', tonumber(ARGV[3]), ARGV[5]
verb = ARGV[4]
local k, r = load(KEYS[1], KEYS[2], KEYS[3], KEYS[4], a)

local was = 'N'
if not r then
  -- HDEL even here: it lets the tombstone be written when the server is out of memory.
  if tomb >= now then drop(k, a) end
elseif r.st == 'q' then
  was = 'W'
  redis.call('ZREM', k.Q, a)
  drop(k, a, r)
else
  was = now < r.x and 'H' or 'L'
  if r.d == '0' or (was == 'H' and not unclean) then
    drop(k, a, r)
  elseif was == 'H' then -- the seat stays for its delay
    redis.call('HDEL', k.L, 'a' .. a) -- first, see extend
    r.st, r.x = 'h', now
    put(k, a, r)
    if k.m == 's' then index(k, a, r) end
  end
end

local failed
if tomb >= now then
  local res = redis.pcall('SET', KEYS[5], '1', 'PXAT', int(tomb + 1))
  if res.err then failed = res.err end
end

if was == 'H' and to ~= '' then
  local w = find(k, to)
  local head = redis.call('ZRANGE', k.Q, '0', '0', 'WITHSCORES')[2]
  if head and w and w.st == 'q' and now < w.x then redis.call('ZADD', k.Q, int(head - 1), to) end
end
if k.m then
  advance(k)
  sweep(k)
end
return bare(was) .. (failed and ' !' .. failed or '')
