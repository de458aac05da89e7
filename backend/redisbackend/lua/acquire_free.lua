-- fragment: acquire of a lock that nobody claims, by an attempt that was not released. It is what
-- acquire.lua would do, without the cost of setting up its steps.

if ARGV[13] == '1' and ARGV[14] == '0' and ARGV[15] == '0' and now <= tonumber(ARGV[5]) and redis.call('EXISTS', KEYS[1], KEYS[5]) == 0 then
  local a, ttl, win, proc, blob, d = ARGV[1], ARGV[2], ARGV[3], ARGV[6], ARGV[9], ARGV[10]
  local tok = int(math.max((tonumber(redis.call('GET', KEYS[4]) or 0) or 0) + 1, us))
  local x = now + ttl
  local z = int(x + d)
  local record = 'h 1 ' .. ttl .. ' ' .. win .. ' ' .. d .. ' ' .. ARGV[11] .. ' ' .. int(x) .. ' ' .. tok .. ' ' .. proc
  redis.call('SET', KEYS[4], tok)
  if blob == '' then
    redis.call('HSET', KEYS[1], 'm', 'x', 'h', a, 'z', z, 'c' .. a, record)
  else
    redis.call('HSET', KEYS[1], 'm', 'x', 'h', a, 'z', z, 'c' .. a, record, 'o' .. a, blob)
  end
  redis.call('PEXPIREAT', KEYS[1], int(x + d + 1000))
  return 'G ' .. stamp .. ' ' .. tok .. ' ' .. ttl
end

