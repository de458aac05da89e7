-- fragment: raises the mark KEYS[1] to the token ARGV[1], or refuses it. Joined before a write.
-- ARGV[2]: ms for which the mark lives, 0 = for ever
-- returns {0, mark} from the script if the token is below the mark
--
-- Tokens exceed what a double holds, so they are kept as 20 digits and compared as texts.

do
  local mark, token = redis.call('GET', KEYS[1]), ARGV[1]
  if mark and (#mark ~= 20 or string.find(mark, '%D')) then
    return redis.error_reply('ERR the key of the mark holds something else')
  end
  if mark and token < mark then return {0, mark} end
  if ARGV[2] ~= '0' then
    redis.call('SET', KEYS[1], token, 'PX', ARGV[2])
  elseif mark ~= token then
    redis.call('SET', KEYS[1], token)
  end
end

