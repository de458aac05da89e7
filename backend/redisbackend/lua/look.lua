-- look: brings a key up to date for an observer: what has ended is dropped, and told of.
-- KEYS  L Q S C
-- ARGV  push
-- returns  {now, number of the last change told, ms to the earliest end of a seat, or -1}

verb = ARGV[1]
local k = load(KEYS[1], KEYS[2], KEYS[3], KEYS[4], '')
local ends = -1
if k.m then
  advance(k)
  sweep(k)
  local first = k.m and earliest(k)
  if first then ends = math.max(0, first - now) end
end
return {stamp, int(k.p or 0), int(ends)}
