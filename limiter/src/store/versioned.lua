-- Writes only what is newer. KEYS: 1 the value. ARGV: ms, counter, node, value. Reply: 1 written, 0 an equal or newer one is there.
local old = redis.call('HMGET', KEYS[1], 'ms', 'counter', 'node')
if old[1] then
  local ms, counter = tonumber(old[1]), tonumber(old[2])
  local nms, ncounter = tonumber(ARGV[1]), tonumber(ARGV[2])
  if nms < ms then return 0 end
  if nms == ms and ncounter < counter then return 0 end
  if nms == ms and ncounter == counter and ARGV[3] <= old[3] then return 0 end
end
redis.call('HSET', KEYS[1], 'ms', ARGV[1], 'counter', ARGV[2], 'node', ARGV[3], 'value', ARGV[4])
return 1
