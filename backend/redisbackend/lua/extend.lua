-- fragment: the renewal of one claim, shared by hold and wait. Joined after the steps.

-- newer compares decimal texts, which may be larger than a double holds.
local function newer(a, b) return #a > #b or (#a == #b and a > b) end

-- extend moves the end of a claim, never backwards, and replaces its metadata by a newer one.
-- PEXPIREAT comes first: out of memory the server refuses a script whose first write may grow,
-- and lets it go on after any other.
local function extend(k, a, r, ttl, seq, meta)
  r.x = math.max(r.x, now + ttl)
  k.z = math.max(k.z, r.x + r.d)
  redis.call('PEXPIREAT', k.L, expiry(k))
  if seq ~= '0' then
    local blob = redis.call('HGET', k.L, 'o' .. a) or '0:0:'
    local old, len, rest = string.match(blob, '^(%d+):(%d+):(.*)$')
    if old and newer(seq, old) then
      blob = seq .. ':' .. len .. ':' .. string.sub(rest, 1, tonumber(len)) .. meta
      redis.call('HSET', k.L, 'o' .. a, blob)
      if r.st ~= 'q' then announce(k, 'M', a, r) end
    end
  end
  redis.call('HSET', k.L, 'z', int(k.z), 'c' .. a, record(r))
  return r
end

