-- revoke: asks the holder with the given token to leave, or ends its seat.
-- KEYS  L Q C
-- ARGV  tok force grace reason push
-- returns  Y now (found) | N now

local tok, force, grace, reason, verb = ARGV[1], ARGV[2] == '1', tonumber(ARGV[3]), ARGV[4], ARGV[5]
local k = load(KEYS[1], KEYS[2], KEYS[3], '')
local a = k.m == 'x' and k.h
local r = a and find(k, a)
if not r or r.tok ~= tok or now >= r.x then return bare('N') end

local to = ' ' .. a .. ' ' .. tok .. ' '
if not force then
  local deadline = int(now + grace)
  r.st = 'r'
  put(k, a, r, 'a' .. a, deadline .. ' ' .. reason)
  push(k, verb, r.proc, 'A' .. to .. deadline .. ' ' .. int(now) .. ' ' .. reason)
  return bare('Y')
end

if r.d == '0' then
  drop(k, a)
else -- the seat stays for its delay
  r.st, r.x = 'h', now
  put(k, a, r)
end
push(k, verb, r.proc, 'R' .. to .. int(now) .. ' ' .. reason)
advance(k, nil, verb)
if not k.h then redis.call('DEL', k.L) end -- and so nobody waits
return bare('Y')
