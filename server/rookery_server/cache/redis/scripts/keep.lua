-- Stores what was merged under certain relations, only while they stand, byte for byte.
-- KEYS relations, history.  ARGV: relations as seen, value, life in seconds.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
return 1
