-- Raises a mark.
--
-- KEYS[1]  the mark
-- ARGV[1]  the token
-- returns  the mark
return redis.call('GET', KEYS[1])
