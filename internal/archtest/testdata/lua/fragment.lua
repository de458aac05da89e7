-- fragment: reads the clock
local now = redis.call('TIME')
