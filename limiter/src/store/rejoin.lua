-- A member is back, or still there. KEYS: 1 the epoch, 2 the members, 3 the engine.
-- ARGV: member, lifetime_ms, moves the epoch (0|1), the engine it would choose (script|cell).
-- Moving the epoch empties every bucket, which pays for all that was spent locally or by the other engine, by whomever.
-- Reply: how many members; 1 if they decide by redis-cell, else 0.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local ms = math.floor(now / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('(%.0f', ms - tonumber(ARGV[2])))
local engine, moves = redis.call('GET', KEYS[3]), ARGV[3] == '1'
-- Whoever can't use redis-cell decides for all; who can, for nobody but itself.
local empty = redis.call('ZCARD', KEYS[2]) == 0
if not engine or (engine ~= ARGV[4] and (ARGV[4] == 'script' or empty)) then
  engine, moves = ARGV[4], true
  redis.call('SET', KEYS[3], engine)
end
if moves or redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('SET', KEYS[1], string.format('%.0f', now))
end
redis.call('ZADD', KEYS[2], ms, ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return { redis.call('ZCARD', KEYS[2]), engine == 'cell' and 1 or 0 }
