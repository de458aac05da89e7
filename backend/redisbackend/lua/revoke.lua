-- revoke: asks the holder with the given token to leave, or ends its seat.
-- KEYS  L Q S C
-- ARGV  tok force grace reason push
-- returns  Y now (found) | N now

local tok, force, grace, reason = ARGV[1], ARGV[2] == '1', tonumber(ARGV[3]), ARGV[4]
verb = ARGV[5]
local k = load(KEYS[1], KEYS[2], KEYS[3], KEYS[4], '')

local a, r
if k.m == 'x' then
  a, r = k.h, k.h and find(k, k.h)
elseif k.m then
  records(k, function(b, s)
    if s.st ~= 'q' and s.tok == tok then a, r = b, s end
  end)
end
if not r or r.tok ~= tok or now >= r.x then return bare('N') end

local to = ' ' .. a .. ' ' .. tok .. ' '
if not force then
  local deadline = int(now + grace)
  r.st = 'r'
  put(k, a, r, 'a' .. a, deadline .. ' ' .. reason)
  push(k, r.proc, 'A' .. to .. deadline .. ' ' .. int(now) .. ' ' .. reason)
  return bare('Y')
end

if r.d == '0' then
  drop(k, a, r)
else -- the seat stays for its delay
  r.st, r.x = 'h', now
  put(k, a, r)
  if k.m == 's' then index(k, a, r) end
end
push(k, r.proc, 'R' .. to .. int(now) .. ' ' .. reason)
advance(k)
sweep(k)
return bare('Y')
