-- fragment: acquire of a key that nobody claims, by an attempt that was not released. It is what
-- acquire.lua would do, without the cost of setting up its steps.

if now <= tonumber(ARGV[5]) and redis.call('EXISTS', KEYS[1], KEYS[4]) == 0 then
  local a, ttl, win, proc, blob = ARGV[1], ARGV[2], ARGV[3], ARGV[6], ARGV[9]
  local tok = int(math.max((tonumber(redis.call('GET', KEYS[3]) or 0) or 0) + 1, us))
  local x = now + ttl
  local e = int(x)
  local record = 'h 1 ' .. ttl .. ' ' .. win .. ' 0 0 ' .. e .. ' ' .. tok .. ' ' .. proc
  redis.call('SET', KEYS[3], tok)
  if blob == '' then
    redis.call('HSET', KEYS[1], 'm', 'x', 'h', a, 'z', e, 'c' .. a, record)
  else
    redis.call('HSET', KEYS[1], 'm', 'x', 'h', a, 'z', e, 'c' .. a, record, 'o' .. a, blob)
  end
  redis.call('PEXPIREAT', KEYS[1], int(x + 1000))
  return 'G ' .. stamp .. ' ' .. tok .. ' ' .. ttl
end

