-- Gives a list and its meta a new life, unless the list is under build: a dead builder's token must run out.
-- KEYS list, meta.  ARGV: life in seconds.
local tail = redis.call('LINDEX', KEYS[1], -1)
if not tail or tail:byte(1) == 45 then return 0 end
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[1])
return 1
