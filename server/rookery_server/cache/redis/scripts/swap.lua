-- Replaces a value only if it still is what was seen.
-- KEYS[1].  ARGV: seen ('': nothing), value, life in ms.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
