-- A member that was away knocks. KEYS: 1 the members. ARGV: member, fresh_ms.
-- Reply: how many members were heard within fresh_ms, this one included.
local t = redis.call('TIME')
local ms = math.floor((t[1] * 1000000 + t[2]) / 1000)
redis.call('ZADD', KEYS[1], ms, ARGV[1])
return redis.call('ZCOUNT', KEYS[1], ms - tonumber(ARGV[2]), '+inf')
