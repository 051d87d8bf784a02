-- Declares a new or emptied primary empty, once: flush and claim are one step, so of two workers one wins and the
-- other's flush never happens.  (Why the flush may stand in a script: docs/protocols/links.md.)
-- KEYS[1] marks.  ARGV: shard id of the node, Unix ms.
if redis.call('HGET', KEYS[1], 'node') == ARGV[1] then return 0 end
redis.call('FLUSHALL', 'ASYNC')
redis.call('HSET', KEYS[1], 'node', ARGV[1], 'flushed', ARGV[2])
return 1
