-- Moves watermarks from what the worker last knew.
-- KEYS[1] marks.  ARGV: shard id of the node, then for each outbox shard: its number, W expected ('' for none), W new.
-- Returns 1 or 0 for each; nothing if the marks are absent or another node's.
local key = KEYS[1]
if redis.call('HGET', key, 'node') ~= ARGV[1] then return {} end
local moved = {}
for i = 2, #ARGV, 3 do
  if (redis.call('HGET', key, ARGV[i]) or '') == ARGV[i + 1] then
    redis.call('HSET', key, ARGV[i], ARGV[i + 2])
    moved[#moved + 1] = 1
  else
    moved[#moved + 1] = 0
  end
end
return moved
