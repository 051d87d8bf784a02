-- Replaces a value only if it still is what was seen.
-- KEYS[1].  ARGV: seen, value, life in seconds.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
