-- fragment: release by a valid holder for whose key nobody waits, without a tombstone. It is what
-- release.lua would do, without the cost of setting up its steps.

if ARGV[3] == '0' then
  local v = redis.call('HMGET', KEYS[1], 'm', 'h', 'c' .. ARGV[1], 'p')
  if v[1] == 'x' and v[2] == ARGV[1] and v[3] and not v[4] then
    local d, x = string.match(v[3], '^%l %d+ %d+ %d+ (%d+) %-?%d+ (%d+) ')
    if d == '0' and now < tonumber(x) and redis.call('EXISTS', KEYS[2]) == 0 then
      redis.call('DEL', KEYS[1])
      return 'H ' .. stamp
    end
  end
end

