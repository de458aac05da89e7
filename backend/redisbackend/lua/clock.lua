-- fragment: the time, read once per script: us for tokens, now (ms) for all else. Go joins it first.
--
-- Numbers are integers. Lua's own conversion to text drops digits past 14, hence int().

local time = redis.call('TIME')
local us = time[1] * 1000000 + time[2]
local now = math.floor(us / 1000)
local stamp = time[1] .. ' ' .. time[2] -- "now" of all replies: seconds, us

local function int(n) return string.format('%.0f', n) end

