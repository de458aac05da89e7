-- limit: one op of a rate limit, as Policy.Decide of package ratelimit means it.
-- KEYS  state
-- ARGV  kind: T take, P peek, G give, C charge, R reset
--       version of the policy, maxWait (µs), n, number of words
--       state of an earlier version, or '', and what replaces it if it is still there
--       then each limit by its algorithm, in upper case if it is a shadow:
--       a den burst burstFrac cost costFrac | b N per | c N per unit | d N unit
-- returns  {1 allowed | 0 refused | 2 nothing done, the state is of an earlier version; now; state before}
--
-- The state is a text of decimal words, see ratelimit.Rule. One that cannot be read is none. It is
-- written only if something is counted or given back, and lives until nothing counts any more: it goes
-- in the first ms after that, by the server's clock.
--
-- Numbers are doubles, which are exact up to 2^53, and NewPolicy keeps all of them below. Instants are
-- less than 2^51 (until 2041) and 20 years. Counts and fractions are at most 2^40, and at most 12 of
-- them are added. N * per / unit, of which a sliding window adds three, is at most 2^53 / 3. What is
-- divided is below 2^53, so a quotient that is not whole is never rounded up to one that is, and % is
-- exact. A text may hold more than a policy ever counts: of words that do not fit, only the fact counts.

local hour = 3600000000 -- ratelimit.MaxWait
local kind, version, patience = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local n, words = tonumber(ARGV[4]), tonumber(ARGV[5])
local old = redis.call('GET', KEYS[1]) or ''

if kind == 'R' then
  if old ~= '' then redis.call('DEL', KEYS[1]) end
  return {1, now, ''}
end

local text = old
if old ~= '' and old == ARGV[6] then text = ARGV[7] end
local w = {}
if string.find(text, '^' .. string.rep('%d+ ', words - 1) .. '%d+$') then
  for word in string.gmatch(text, '%d+') do
    word = tonumber(word)
    if word >= 2^53 then break end
    w[#w + 1] = word
  end
end
if #w < words then
  text, w = '', {version}
  for i = 2, words do w[i] = 0 end
elseif w[1] < version then
  return {2, now, text}
end

local function clear(r, first)
  w[r.i] = first
  for i = r.i + 1, r.last do w[i] = 0 end
end

-- roll brings a limit to the present.
local function roll(r)
  local i = r.i
  if r.algorithm == 'a' then
    if w[i] - now > 2 * (r.burst + hour) then w[i], w[i + 1] = now + r.burst, r.burstFrac end
    if w[i + 1] >= r.den then w[i], w[i + 1] = w[i] + 1, 0 end
    if w[i] < now then w[i], w[i + 1] = now, 0 end
  elseif r.algorithm == 'd' then
    local part = math.floor(now / r.unit)
    local behind = part - w[i]
    if behind > 0 and behind <= 10 then
      for j = r.last, i + 1, -1 do w[j] = j - behind > i and w[j - behind] or 0 end
      w[i] = part
    elseif behind > 0 or behind < -11 then
      clear(r, part)
    end
  else
    local begin = now - now % r.per
    local behind = begin - w[i]
    if behind == r.per and r.algorithm == 'c' then
      w[i], w[i + 1], w[i + 2] = begin, w[i + 2], 0
    elseif behind > 0 or behind < -r.per then
      clear(r, begin)
    end
  end
end

-- plus and minus change the instant at which a bucket is full by a time.
local function plus(r)
  local full, frac = w[r.i] + r.cost, w[r.i + 1] + r.costFrac
  if frac >= r.den then return full + 1, frac - r.den end
  return full, frac
end

local function minus(r)
  local full, frac = w[r.i] - r.cost, w[r.i + 1] - r.costFrac
  if frac < 0 then full, frac = full - 1, frac + r.den end
  if full < now then return now, 0 end
  return full, frac
end

local function fits(r)
  local i = r.i
  if r.N and n > r.N then
    return false -- a small shadow limit
  elseif r.algorithm == 'a' then
    local full, frac = plus(r)
    local over = full - now - r.burst
    if frac > r.burstFrac then over = over + 1 end -- rounded up
    return over <= patience
  elseif r.algorithm == 'b' then
    return w[i + 1] + r.n <= r.N
  elseif r.algorithm == 'c' then
    local width, elapsed = r.per / r.unit, math.floor(math.max(now - w[i], 0) / r.unit)
    local before, within = math.min(w[i + 1], r.N), math.min(w[i + 2], r.N)
    return before * (width - elapsed) + (within + r.n) * width <= r.N * width
  end
  local sum = r.n
  for j = i + 1, r.last do sum = sum + w[j] end
  return sum <= r.N
end

local function take(r)
  local i = r.i
  if r.algorithm == 'a' then
    w[i], w[i + 1] = plus(r)
    local most = now + 2 * r.burst + hour
    if w[i] > most then w[i], w[i + 1] = most, 0 end
    return
  end
  if r.algorithm == 'c' then i = i + 1 end
  w[i + 1] = math.min(w[i + 1] + r.n, r.N)
end

local function give(r)
  local i = r.i
  if r.algorithm == 'a' then
    w[i], w[i + 1] = minus(r)
    return
  end
  local first, last, step = i + 1, r.last, 1
  if r.algorithm == 'c' then first, last, step = i + 2, i + 1, -1 end -- the newest first
  local rest = r.n
  for j = first, last, step do
    local m = math.min(w[j], rest)
    w[j], rest = w[j] - m, rest - m
  end
end

-- clean is the instant from which nothing is counted any more.
local function clean(r)
  local i = r.i
  if r.algorithm == 'a' then
    if w[i + 1] > 0 then return w[i] + 1 end
    return w[i]
  elseif r.algorithm == 'd' then
    for j = i + 1, r.last do
      if w[j] > 0 then return (w[i] + r.last + 1 - j) * r.unit end
    end
  elseif r.algorithm == 'c' and w[i + 2] > 0 then
    return w[i] + 2 * r.per
  elseif w[i + 1] > 0 then
    return w[i] + r.per
  end
  return now
end

local rules, i, a, allowed = {}, 2, 8, true
while a <= #ARGV do
  local r = {i = i, algorithm = string.lower(ARGV[a])}
  r.shadow = r.algorithm ~= ARGV[a]
  if r.algorithm == 'a' then
    r.den, r.burst, r.burstFrac = tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3])
    r.cost, r.costFrac = tonumber(ARGV[a + 4]), tonumber(ARGV[a + 5])
    i, a = i + 2, a + 6
  else
    r.N = tonumber(ARGV[a + 1])
    r.n = math.min(n, r.N)
    if r.algorithm == 'b' then
      r.per = tonumber(ARGV[a + 2])
      i, a = i + 2, a + 3
    elseif r.algorithm == 'c' then
      r.per, r.unit = tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3])
      i, a = i + 3, a + 4
    else
      r.unit = tonumber(ARGV[a + 2])
      i, a = i + 12, a + 3
    end
  end
  r.last = i - 1
  roll(r)
  if kind == 'T' or kind == 'P' then
    r.fits = fits(r)
    allowed = allowed and (r.fits or r.shadow)
  end
  rules[#rules + 1] = r
end

local changed = text ~= old
local last = now
for _, r in ipairs(rules) do
  if kind == 'C' or (kind == 'T' and allowed and r.fits) then
    take(r)
    changed = true
  elseif kind == 'G' then
    give(r)
    changed = true
  end
  last = math.max(last, clean(r))
end
if changed and last > now then
  for j, word in ipairs(w) do w[j] = string.format('%.0f', word) end
  redis.call('SET', KEYS[1], table.concat(w, ' '), 'PXAT', string.format('%.0f', math.floor(last / 1000) + 1))
elseif changed and old ~= '' then
  redis.call('DEL', KEYS[1])
end
return {allowed and 1 or 0, now, text}
