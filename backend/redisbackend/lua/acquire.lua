-- acquire: asks for the seat of a key, or for a place in its queue.
-- KEYS  L Q S C X (X: tombstone of the attempt)
-- ARGV  att ttl win queue notAfter proc maxq push blob d prio w lim ep announce
-- returns  G now tok left | A now tok left grace reason | Q now rank next | H now att record blob |
--          F now (full) | C now limit (conflict) | X now (gone) | S now (stale)
-- now is two words, seconds and microseconds, here and in all other replies

if now > tonumber(ARGV[5]) then return bare('S') end
local xc = redis.call('MGET', KEYS[5], KEYS[4])
if xc[1] then return bare('X') end
local wish = {a = ARGV[1], ttl = ARGV[2], win = ARGV[3], queue = ARGV[4] == '1', proc = ARGV[6], maxq = tonumber(ARGV[7]),
  blob = ARGV[9], d = ARGV[10], prio = ARGV[11], w = tonumber(ARGV[12]), lim = tonumber(ARGV[13]), ep = tonumber(ARGV[14]),
  ann = ARGV[15] == '1'}
verb = ARGV[8]
local k, r = load(KEYS[1], KEYS[2], KEYS[3], KEYS[4], wish.a)
k.c = xc[2]
return join(k, r, wish) or enlist(k, wish)
