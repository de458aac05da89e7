-- hset: HSET under the caller's token.
-- KEYS  mark, key
-- ARGV  token retention, then field value in pairs
-- returns  {1} | {0, mark}

for i = 3, #ARGV, 1000 do -- Lua's stack is small
  redis.call('HSET', KEYS[2], unpack(ARGV, i, math.min(i + 999, #ARGV)))
end
return {1}
