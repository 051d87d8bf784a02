-- Puts a build token in place of a list; a live token of another builder is respected.
-- KEYS[1] list, KEYS[2] meta (home lists only).  ARGV: token (negative), its life in seconds.
-- Returns 1 if the token is in place.
local tail = redis.call('LINDEX', KEYS[1], -1)
if tail and tail:byte(1) == 45 then return 0 end
redis.call('DEL', unpack(KEYS))
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
