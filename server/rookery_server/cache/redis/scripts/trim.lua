-- Cuts a list that grew too long, unless it is under build: its token is the last element.
-- KEYS[1] list.  ARGV: kept.
local tail = redis.call('LINDEX', KEYS[1], -1)
if tail and tail:byte(1) ~= 45 then redis.call('LTRIM', KEYS[1], 0, tonumber(ARGV[1]) - 1) end
return 1
