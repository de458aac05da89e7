-- acquire_all: asks for several keys in their order, and stops at the first that is not granted.
-- KEYS  L Q S C X per item
-- ARGV  queue notAfter proc maxq push, then att ttl win blob d prio w lim ep announce per item
-- returns  the replies of acquire for the items up to the one where it stopped

local waits, notAfter, proc, maxq = ARGV[1] == '1', tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
verb = ARGV[5]
if now > notAfter then return {bare('S')} end
local n = #KEYS / 5

-- item returns what is known of the i-th wish: the key, its record, the wish, and the reply if the
-- attempt is over.
local function item(i)
  local p, j = 5 * i - 4, 10 * i - 4
  local wish = {a = ARGV[j], ttl = ARGV[j + 1], win = ARGV[j + 2], blob = ARGV[j + 3], d = ARGV[j + 4], prio = ARGV[j + 5],
    w = tonumber(ARGV[j + 6]), lim = tonumber(ARGV[j + 7]), ep = tonumber(ARGV[j + 8]),
    ann = ARGV[j + 9] == '1', queue = waits, proc = proc, maxq = maxq}
  local k, r = load(KEYS[p], KEYS[p + 1], KEYS[p + 2], KEYS[p + 3], wish.a)
  local over = redis.call('EXISTS', KEYS[p + 4]) == 1 and bare('X') or nil
  return k, r, wish, over
end

local function seated(reply)
  local letter = string.sub(reply, 1, 1)
  return letter == 'G' or letter == 'A'
end

local out = {}
if not waits then -- all or none: nothing is seated before all are known to fit
  for i = 1, n do
    local k, r, wish, over = item(i)
    local reply = over or join(k, r, wish)
    if not reply and k.m and (waiters(k) > 0 or not fits(k, wish.w)) then reply = refused(k) end
    if reply and not seated(reply) then
      out[i] = reply
      return out
    end
    out[i] = bare('U')
    if k.m then sweep(k) end
  end
end

for i = 1, n do
  local k, r, wish, over = item(i)
  out[i] = over or join(k, r, wish) or enlist(k, wish)
  if not seated(out[i]) then return out end
end
return out
