-- run: the caller's script, which takes the place of the line "body", after the mark was raised.
-- KEYS  mark, then the caller's
-- ARGV  token retention, then the caller's
-- returns  {1, result} | {0, mark} | the caller's error

local call = function(KEYS, ARGV)
--body
end

local keys, args = {}, {}
for i = 2, #KEYS do keys[i - 1] = KEYS[i] end
for i = 3, #ARGV do args[i - 2] = ARGV[i] end
local result = call(keys, args)
if type(result) == 'table' and result.err then return result end
return {1, result}
