-- fragment: the time in µs, for scripts that need nothing else of it. Go joins it first.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

