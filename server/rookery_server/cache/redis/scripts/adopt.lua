-- Declares a primary empty, once: flush and claim are one step, so of two workers one wins and the other's flush never
-- happens.  (Why the flush may stand in a script: docs/protocols/links.md.)  1: done; 0: it is known; -1: it is not
-- known, or ceased to be right now, and is emptied by a call with 'ended', once all other connections to it were ended.
-- KEYS[1] marks.  ARGV: shard id of the node, Unix ms, for a known node that is too far behind its present `flushed`
-- (else empty), 'ended' when connections were (else empty).
if redis.call('HGET', KEYS[1], 'node') == ARGV[1] then
  if ARGV[3] == '' or (redis.call('HGET', KEYS[1], 'flushed') or '0') ~= ARGV[3] then return 0 end
  redis.call('HDEL', KEYS[1], 'node')
end
if ARGV[4] == '' then return -1 end
redis.call('FLUSHALL', 'ASYNC')
redis.call('HSET', KEYS[1], 'node', ARGV[1], 'flushed', ARGV[2])
return 1
