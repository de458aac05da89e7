-- fragment: the steps that the verbs of mode x share (one seat a key). Go joins it before a verb
-- and after clock.lua.
--
-- L  hash    m mode, h attempt of the holder, q ticket counter, z largest end ever written,
--            c<att> record, o<att> blob, a<att> wish that the holder leaves
-- Q  zset    waiting attempts; score = (511-prio) * 2^40 + ticket
-- C  string  token counter of the bucket; never expires
--
-- record = st w ttl win d prio x tok proc; st: q waiting, h held, r held and asked to leave;
--          x: end of the validity (h, r) or of the heartbeat (q), server time in ms
-- blob   = metaSeq:ownerLen:ownerMeta, absent while all three are empty
-- wish   = deadline reason
--
-- parse leaves numbers as texts, which arithmetic takes as well; only x is converted.
local function parse(text)
  if not text then return nil end
  local st, w, ttl, win, d, prio, x, tok, proc =
    string.match(text, '^(%l) (%d+) (%d+) (%d+) (%d+) (%-?%d+) (%d+) (%d+) (%S*)$')
  if not st then return nil end
  return {st = st, w = w, ttl = ttl, win = win, d = d, prio = prio, x = tonumber(x), tok = tok, proc = proc}
end

local function record(r)
  return r.st .. ' ' .. r.w .. ' ' .. r.ttl .. ' ' .. r.win .. ' ' .. r.d .. ' ' .. r.prio ..
    ' ' .. int(r.x) .. ' ' .. r.tok .. ' ' .. r.proc
end

-- load reads the fields of key L and the record of attempt a.
local function load(L, Q, C, a)
  local v = redis.call('HMGET', L, 'm', 'h', 'z', 'c' .. a)
  return {L = L, Q = Q, C = C, m = v[1], h = v[2], z = tonumber(v[3]) or 0}, parse(v[4])
end

local function find(k, a) return parse(redis.call('HGET', k.L, 'c' .. a)) end

-- put writes the record of attempt a, further fields with it, and moves the expiry of L.
local function put(k, a, r, ...)
  local e = r.x + r.d
  if e > k.z then
    k.z = e
    redis.call('HSET', k.L, 'c' .. a, record(r), 'z', int(e), ...)
    redis.call('PEXPIREAT', k.L, int(e + 1000))
  else
    redis.call('HSET', k.L, 'c' .. a, record(r), ...)
  end
end

-- seat gives attempt a the seat under a new token. The larger of counter and clock keeps tokens
-- rising when either is lost.
local function seat(k, a, r, life, ...)
  local c = tonumber(k.c or redis.call('GET', k.C) or 0) or 0
  local t = int(math.max(c + 1, us))
  redis.call('SET', k.C, t)
  k.c = t
  r.st, r.x, r.tok = 'h', now + life, t
  put(k, a, r, 'm', 'x', 'h', a, ...)
  k.h = a
end

-- drop removes the claim of attempt a, seated or not.
local function drop(k, a)
  if k.h == a then
    redis.call('HDEL', k.L, 'h', 'c' .. a, 'o' .. a, 'a' .. a)
    k.h = nil
  else
    redis.call('HDEL', k.L, 'c' .. a, 'o' .. a, 'a' .. a)
  end
end

-- expire drops a holder whose seat has ended and returns the record of one whose seat has not.
local function expire(k)
  if not k.h then return nil end
  local r = find(k, k.h)
  if r and r.st ~= 'q' and now < r.x + r.d then return r end
  drop(k, k.h)
  return nil
end

-- push tells the backend object proc. Its channel begins as the keys do, in a cluster up to the
-- end of the hash tag. It is a hint: a failure (no permission for the channel) must not stop the
-- script half-way.
local function push(k, verb, proc, text)
  local head = string.match(k.L, verb == 'spublish' and '^[^}]*}:' or '^[^{]*')
  redis.pcall(verb, head .. 'w:' .. proc, text)
end

-- grant seats a waiting attempt. One whose owner is asking now (own) gets its whole ttl and no
-- message, the others a first life of their window.
local function grant(k, a, r, own, verb)
  if own and own[a] then
    seat(k, a, r, r.ttl)
  else
    seat(k, a, r, math.min(r.win, r.ttl))
    push(k, verb, r.proc, 'G ' .. a .. ' ' .. r.tok .. ' ' .. int(r.x) .. ' ' .. int(now))
  end
end

-- advance seats the first live waiter if the seat is free. Afterwards the key has a holder, whose
-- record is returned unless the seat is new, or its queue is empty.
local function advance(k, own, verb)
  local r = expire(k)
  while not k.h do
    local heads = redis.call('ZRANGE', k.Q, '0', '15')
    if #heads == 0 then return nil end
    local fields = {}
    for i, a in ipairs(heads) do fields[i] = 'c' .. a end
    local texts = redis.call('HMGET', k.L, unpack(fields))
    local out, dead, first, next = {}, {}, nil, nil
    for i, a in ipairs(heads) do
      local w = parse(texts[i])
      out[i] = a
      if w and w.st == 'q' then
        if now < w.x then
          first, next = a, w
          break
        end
        dead[#dead + 1] = 'c' .. a
        dead[#dead + 1] = 'o' .. a
      end
    end
    redis.call('ZREM', k.Q, unpack(out))
    if #dead > 0 then redis.call('HDEL', k.L, unpack(dead)) end
    if first then grant(k, first, next, own, verb) end
  end
  return r
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

local function queued(k, a)
  local next = 0
  local s = k.h and find(k, k.h)
  if s then next = math.max(0, s.x + s.d - now) end
  return 'Q ' .. stamp .. ' ' .. int(redis.call('ZRANK', k.Q, a) or 0) .. ' ' .. int(next)
end

local function bare(letter) return letter .. ' ' .. stamp end

