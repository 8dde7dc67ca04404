-- A member is back. KEYS: 1 the epoch, 2 the members. ARGV: member, lifetime_ms, moves the epoch (0|1).
-- Moving the epoch empties every bucket, which pays for all that was spent locally, by whomever.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
if ARGV[3] == '1' or redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('SET', KEYS[1], string.format('%.0f', now))
end
local ms = math.floor(now / 1000)
redis.call('ZADD', KEYS[2], ms, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('(%.0f', ms - tonumber(ARGV[2])))
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return redis.call('ZCARD', KEYS[2])
