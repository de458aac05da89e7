-- fragment: the steps that the verbs share. Go joins it before a verb and after clock.lua.
--
-- L  hash    m mode, z largest end ever written, q ticket counter, p number of the last change told
--            to observers (announced keys only),
--            c<att> record, o<att> blob, a<att> wish that the holder leaves
--            mode x (limit 1): h attempt of the holder
--            mode s (any limit): lim limit, ep its epoch, u weight of all seats
-- Q  zset    waiting attempts; score = (511-prio) * 2^40 + ticket
-- S  zset    mode s: seated attempts; score = a lower bound of the end of the seat, ms
-- C  string  token counter of the bucket; never expires
--
-- record = st w ttl win d prio x tok proc; st: q waiting, h held, r held and asked to leave;
--          x: end of the validity (h, r) or of the heartbeat (q), server time in ms
-- blob   = metaSeq:ownerLen:ownerMeta, absent while all three are empty
-- wish   = deadline reason
--
-- Mode x spares a free lock the second key. A higher epoch turns it into mode s.
--
-- verb publishes; the scripts that do so set it.
local verb

-- parse leaves most numbers as texts, which arithmetic takes as well.
local function parse(text)
  if not text then return nil end
  local st, w, ttl, win, d, prio, x, tok, proc =
    string.match(text, '^(%l) (%d+) (%d+) (%d+) (%d+) (%-?%d+) (%d+) (%d+) (%S*)$')
  if not st then return nil end
  return {st = st, w = tonumber(w), ttl = ttl, win = win, d = d, prio = prio, x = tonumber(x), tok = tok, proc = proc}
end

local function record(r)
  return r.st .. ' ' .. int(r.w) .. ' ' .. r.ttl .. ' ' .. r.win .. ' ' .. r.d .. ' ' .. r.prio ..
    ' ' .. int(r.x) .. ' ' .. r.tok .. ' ' .. r.proc
end

-- load reads the fields of key L and the record of attempt a. Without Q it is for a renewal only.
local function load(L, Q, S, C, a)
  local v = redis.call('HMGET', L, 'm', 'h', 'z', 'c' .. a, 'p')
  local k = {L = L, Q = Q, S = S, C = C, m = v[1], h = v[2], z = tonumber(v[3]) or 0, p = v[5], lim = 1, ep = 0}
  if k.m and k.m ~= 'x' and k.m ~= 's' then -- of a later version: in use, and not for us to touch
    k.m, k.h, k.other = nil, nil, redis.call('HGET', L, 'lim') or '0'
    return k, nil
  end
  if k.m == 's' and Q then
    local s = redis.call('HMGET', L, 'lim', 'ep', 'u')
    k.lim, k.ep, k.u = tonumber(s[1]) or 1, tonumber(s[2]) or 0, tonumber(s[3]) or 0
  end
  return k, parse(v[4])
end

-- expiry is when L may go. An announced key stays for a while, so that its changes go on being
-- numbered.
local function expiry(k)
  local e = k.z + 1000
  if k.p then e = math.max(e, now + 3600000) end
  return int(e)
end

local function find(k, a) return parse(redis.call('HGET', k.L, 'c' .. a)) end

-- put writes the record of attempt a, further fields with it, and moves the expiry of L.
local function put(k, a, r, ...)
  local e = r.x + r.d
  if e > k.z then
    k.z = e
    redis.call('HSET', k.L, 'c' .. a, record(r), 'z', int(e), ...)
    redis.call('PEXPIREAT', k.L, expiry(k))
  else
    redis.call('HSET', k.L, 'c' .. a, record(r), ...)
  end
end

-- use changes the weight of all seats.
local function use(k, by)
  k.u = k.u + by
  redis.call('HSET', k.L, 'u', int(k.u))
end

-- publish sends a hint to a channel that begins as the keys do, in a cluster up to the end of the hash
-- tag. A failure (no permission for the channel) must not stop the script half-way.
local function publish(k, pattern, channel, text)
  redis.pcall(verb, string.match(k.L, pattern) .. channel, text)
end

-- push tells the backend object proc.
local function push(k, proc, text)
  publish(k, verb == 'spublish' and '^[^}]*}:' or '^[^{]*', 'w:' .. proc, text)
end

-- announce tells the observers of the key what became of the claim of attempt a: S seated, E ended,
-- M metadata changed.
local function announce(k, kind, a, r)
  if not k.p then return end
  k.p = redis.call('HINCRBY', k.L, 'p', '1')
  local text = kind .. ' ' .. r.tok .. ' ' .. k.p
  if kind ~= 'E' then
    text = text .. ' ' .. a .. ' ' .. int(r.w) .. ' ' .. r.prio .. ' ' .. (redis.call('HGET', k.L, 'o' .. a) or '')
  end
  publish(k, '^[^}]*}:', 'k:' .. string.match(k.L, '^[^}]*}:l:(.*)$'), text)
end

-- index notes in S when the seat of attempt a may end. It is not kept up to date: renewals do not
-- touch it, so that they need one key.
local function index(k, a, r)
  redis.call('ZADD', k.S, int(r.x + r.d), a)
  redis.call('PEXPIREAT', k.S, int(k.z + 60000))
end

-- seat gives attempt a its seat under a new token. The larger of counter and clock keeps tokens
-- rising when either is lost.
local function seat(k, a, r, life, ...)
  local c = tonumber(k.c or redis.call('GET', k.C) or 0) or 0
  local t = int(math.max(c + 1, us))
  redis.call('SET', k.C, t)
  k.c = t
  r.st, r.x, r.tok = 'h', now + life, t
  if k.m == 'x' then
    put(k, a, r, 'm', 'x', 'h', a, ...)
    k.h = a
  else
    put(k, a, r, ...)
    index(k, a, r)
    use(k, r.w)
  end
  announce(k, 'S', a, r)
end

-- drop removes the claim of attempt a, of which r is the record if it is there.
local function drop(k, a, r)
  if k.h == a then
    redis.call('HDEL', k.L, 'h', 'c' .. a, 'o' .. a, 'a' .. a)
    k.h = nil
  else
    redis.call('HDEL', k.L, 'c' .. a, 'o' .. a, 'a' .. a)
  end
  if k.m == 's' and r and r.st ~= 'q' then
    redis.call('ZREM', k.S, a)
    use(k, -r.w)
  end
  if r and r.st ~= 'q' then announce(k, 'E', a, r) end
end

-- records calls f with each attempt and record of the key.
local function records(k, f)
  local all = redis.call('HGETALL', k.L)
  for i = 1, #all, 2 do
    local a = string.match(all[i], '^c(.*)$')
    local r = a and parse(all[i + 1])
    if r then f(a, r) end
  end
end

-- share turns mode x into mode s, and makes S anew where it was evicted or has expired under
-- holders who go on renewing.
local function share(k)
  k.m, k.u = 's', 0
  redis.call('DEL', k.S)
  records(k, function(a, r)
    if r.st ~= 'q' then
      index(k, a, r)
      k.u = k.u + r.w
    end
  end)
  if k.h then
    redis.call('HDEL', k.L, 'h')
    k.h = nil
  end
  redis.call('HSET', k.L, 'm', 's', 'lim', int(k.lim), 'ep', int(k.ep), 'u', int(k.u))
end

-- expire drops the seats that have ended.
local function expire(k)
  if k.m == 'x' then
    local r = k.h and find(k, k.h)
    if k.h and not (r and r.st ~= 'q' and now < r.x + r.d) then drop(k, k.h, r) end
    return
  end
  if k.u > 0 and redis.call('EXISTS', k.S) == 0 then share(k) end
  while true do
    local due = redis.call('ZRANGEBYSCORE', k.S, '-inf', int(now), 'LIMIT', 0, 100)
    for _, a in ipairs(due) do
      local r = find(k, a)
      if not r or r.st == 'q' then
        redis.call('ZREM', k.S, a)
      elseif now < r.x + r.d then
        index(k, a, r)
      else
        drop(k, a, r)
      end
    end
    if #due < 100 then return end
  end
end

-- fits reports whether the seats leave room for weight w.
local function fits(k, w)
  if k.m == 'x' then return not k.h end
  return k.lim == 0 or k.u + w <= k.lim
end

-- waiters returns the size of the queue. In mode x a free seat means that it is empty, once the
-- key is up to date.
local function waiters(k)
  if k.m == 'x' and not k.h then return 0 end
  return redis.call('ZCARD', k.Q)
end

-- grant seats a waiting attempt. One whose owner is asking now (own) gets its whole ttl and no
-- message, the others a first life of their window.
local function grant(k, a, r, own)
  if own and own[a] then
    seat(k, a, r, r.ttl)
  else
    seat(k, a, r, math.min(r.win, r.ttl))
    push(k, r.proc, 'G ' .. a .. ' ' .. r.tok .. ' ' .. int(r.x) .. ' ' .. int(now))
  end
end

-- advance brings the key up to date: it drops the seats that have ended, then grants from the head
-- of the queue while the head fits. Dead claims are skipped, and so is one that is heavier than
-- the limit has become.
local function advance(k, own)
  expire(k)
  while fits(k, 1) do
    local heads = redis.call('ZRANGE', k.Q, '0', '15')
    if #heads == 0 then return end
    local fields = {}
    for i, a in ipairs(heads) do fields[i] = 'c' .. a end
    local texts = redis.call('HMGET', k.L, unpack(fields))
    local out, dead, first, next, blocked = {}, {}, nil, nil, false
    for i, a in ipairs(heads) do
      local w = parse(texts[i])
      if w and w.st == 'q' and now < w.x and (k.lim == 0 or w.w <= k.lim) then
        if fits(k, w.w) then
          out[#out + 1], first, next = a, a, w
        else
          blocked = true
        end
        break
      end
      out[#out + 1] = a
      if w and w.st == 'q' then
        dead[#dead + 1] = 'c' .. a
        dead[#dead + 1] = 'o' .. a
      end
    end
    if #out > 0 then redis.call('ZREM', k.Q, unpack(out)) end
    if #dead > 0 then redis.call('HDEL', k.L, unpack(dead)) end
    if first then grant(k, first, next, own) end
    if blocked then return end
  end
end

-- sweep deletes a key that nobody claims. It must be up to date.
local function sweep(k)
  if waiters(k) > 0 or k.h or (k.u or 0) > 0 then return end
  redis.call('DEL', k.L, k.S)
  k.m, k.z = nil, 0
  if k.p then
    redis.call('HSET', k.L, 'p', k.p)
    redis.call('PEXPIREAT', k.L, expiry(k))
  end
end

-- enter appends attempt a to the queue. The queue lives as long as L.
local function enter(k, a, r)
  local ticket = redis.call('HINCRBY', k.L, 'q', '1')
  redis.call('ZADD', k.Q, int((511 - r.prio) * 1099511627776 + ticket), a)
end

-- Replies: a letter, the time (two words), and what belongs to the letter.

local function granted(k, a, r)
  local head = stamp .. ' ' .. r.tok .. ' ' .. int(r.x - now)
  if r.st ~= 'r' then return 'G ' .. head end
  local wish = redis.call('HGET', k.L, 'a' .. a) or ''
  local deadline, reason = string.match(wish, '^(%d+) (.*)$')
  local grace = math.max(0, (tonumber(deadline) or now) - now)
  return 'A ' .. head .. ' ' .. int(grace) .. ' ' .. (reason or '')
end

-- earliest is when the next seat ends, or nil. In mode s it may be earlier than that.
local function earliest(k)
  if k.m == 's' then return tonumber(redis.call('ZRANGE', k.S, '0', '0', 'WITHSCORES')[2]) end
  local r = k.h and find(k, k.h)
  return r and r.x + r.d
end

local function queued(k, a)
  local ends = earliest(k) or now
  return 'Q ' .. stamp .. ' ' .. int(redis.call('ZRANK', k.Q, a) or 0) .. ' ' .. int(math.max(0, ends - now))
end

local function bare(letter) return letter .. ' ' .. stamp end

