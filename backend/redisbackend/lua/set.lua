-- set: SET under the caller's token.
-- KEYS  mark, key
-- ARGV  token retention value ttl (ms, 0 = for ever)
-- returns  {1} | {0, mark}

if ARGV[4] == '0' then
  redis.call('SET', KEYS[2], ARGV[3])
else
  redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
end
return {1}
