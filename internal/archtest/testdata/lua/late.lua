-- KEYS[1]  the mark
-- ARGV[1]  the token

-- returns the mark, but not at the top
return redis.call('GET', KEYS[1])
