-- limit_bucket: what limit.lua does for a take under a policy of one token bucket that refuses, at two
-- thirds of the cost.
-- KEYS  state
-- ARGV  version maxWait den burst burstFrac cost costFrac
-- returns  as limit.lua

local old = redis.call('GET', KEYS[1])
local den, burst, burstFrac = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local version, full, frac = ARGV[1], now, 0
if old then
  local v, a, b = string.match(old, '^(%d+) (%d+) (%d+)$')
  a, b = tonumber(a), tonumber(b)
  if v and a < 2^53 and b < 2^53 and tonumber(v) < 2^53 then
    if v ~= version and tonumber(v) < tonumber(version) then return {2, now, old} end
    version, full, frac = v, a, b
    if full - now > 2 * (burst + 3600000000) then full, frac = now + burst, burstFrac end
    if frac >= den then full, frac = full + 1, 0 end
    if full < now then full, frac = now, 0 end
  else
    old = ''
  end
end

full, frac = full + ARGV[6], frac + ARGV[7]
if frac >= den then full, frac = full + 1, frac - den end
local over = full - now - burst
if frac > burstFrac then over = over + 1 end -- rounded up
if over > tonumber(ARGV[2]) then return {0, now, old or ''} end
redis.call('SET', KEYS[1], string.format('%s %.0f %.0f', version, full, frac),
  'PXAT', string.format('%.0f', math.floor(full / 1000) + 1))
return {1, now, old or ''}
