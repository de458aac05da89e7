-- fragment: the acquire of one key, shared by acquire and acquire_all. Joined after the steps.
--
-- A wish is {a, w, lim, ep, ttl, win, d, prio, queue, proc, maxq, blob, ann}.

-- join looks for what is known of the wish and returns the reply to it, or nil and the key up to
-- date for a claim that is new.
local function join(k, r, wish)
  if k.other then return bare('C') .. ' ' .. k.other end
  if wish.ann and not k.p then
    redis.call('HSET', k.L, 'p', '0')
    redis.call('PEXPIREAT', k.L, int(now + 3600000))
    k.p = 0
  end
  if not k.m then return nil end
  local a = wish.a
  if r and r.st ~= 'q' and now < r.x then
    redis.call('PEXPIREAT', k.L, expiry(k)) -- a write, for WAIT is about those of its connection
    return granted(k, a, r) -- unchanged
  end
  if wish.lim ~= k.lim and wish.ep <= k.ep then
    advance(k) -- the claims that stand against it may have ended
    sweep(k)
    if k.m then return bare('C') .. ' ' .. int(k.lim) end
    return nil
  end
  if wish.ep > k.ep then
    k.lim, k.ep = wish.lim, wish.ep
    if k.m == 'x' then
      share(k)
    else
      redis.call('HSET', k.L, 'lim', int(k.lim), 'ep', int(k.ep))
    end
  end
  local waits = r and r.st == 'q'
  if waits then
    r.ttl, r.win, r.proc, r.x = wish.ttl, wish.win, wish.proc, now + wish.ttl
    put(k, a, r)
    if not redis.call('ZSCORE', k.Q, a) then enter(k, a, r) end -- the queue was evicted
    redis.call('PEXPIREAT', k.Q, int(k.z + 1000))
  end
  advance(k, {[a] = true})
  if not r then return nil end
  r = find(k, a)
  if not r then return nil end
  if r.st == 'q' then return queued(k, a) end
  if now < r.x then return granted(k, a, r) end
  -- The own seat has lapsed and still blocks, for its delay.
  return bare('H') .. ' ' .. a .. ' ' .. record(r) .. ' ' .. (redis.call('HGET', k.L, 'o' .. a) or '')
end

-- refused is the reply to a claim that may not wait. It names the seat that ends first, or the
-- head of the queue where a smaller limit keeps everybody out.
local function refused(k)
  local a = k.h or redis.call('ZRANGE', k.S, '0', '0')[1] or redis.call('ZRANGE', k.Q, '0', '0')[1]
  return bare('H') .. ' ' .. a .. ' ' .. (redis.call('HGET', k.L, 'c' .. a) or '') .. ' ' .. (redis.call('HGET', k.L, 'o' .. a) or '')
end

-- room makes sure that the queue takes one more. Dead claims behind a live head are skipped by
-- nobody, so it looks at the tail before refusing.
local function room(k, maxq)
  if redis.call('ZCARD', k.Q) < maxq then return true end
  for _, b in ipairs(redis.call('ZREVRANGE', k.Q, 0, 63)) do
    local w = find(k, b)
    if not w or w.st ~= 'q' then
      redis.call('ZREM', k.Q, b)
    elseif now >= w.x then
      redis.call('ZREM', k.Q, b)
      drop(k, b, w)
    end
  end
  return redis.call('ZCARD', k.Q) < maxq
end

-- enlist seats a new claim, or lets it wait, or says why not.
local function enlist(k, wish)
  local a = wish.a
  local r = {st = 'q', w = wish.w, ttl = wish.ttl, win = wish.win, d = wish.d, prio = wish.prio,
    x = now + wish.ttl, tok = '0', proc = wish.proc}
  local extra = {}
  if wish.blob ~= '' then extra = {'o' .. a, wish.blob} end
  if not k.m then
    k.m, k.lim, k.ep = 'x', wish.lim, wish.ep
    if k.lim ~= 1 or k.ep > 0 then share(k) end
  end
  local ahead = waiters(k)
  if ahead == 0 and fits(k, wish.w) then
    seat(k, a, r, wish.ttl, unpack(extra))
    return granted(k, a, r)
  end
  if not wish.queue then return refused(k) end
  if ahead >= wish.maxq and not room(k, wish.maxq) then return bare('F') end
  enter(k, a, r)
  put(k, a, r, unpack(extra))
  redis.call('PEXPIREAT', k.Q, int(k.z + 1000))
  if ahead > 0 and k.m == 's' then -- of a higher priority it may be the head now, and fit
    advance(k, {[a] = true})
    r = find(k, a)
    if r.st ~= 'q' then return granted(k, a, r) end
  end
  return queued(k, a)
end

