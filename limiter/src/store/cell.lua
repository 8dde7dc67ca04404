-- One batch of decisions by redis-cell, atomic. Its rate is a unit a microsecond; what a decision costs is rounded up to whole units.
-- KEYS, ARGV: as of decide.lua. Reply: {2}: the members decide by the script; {3}: CL.THROTTLE failed here, from now on they do; else for
-- each request 1, granted; or 0, wait_us, level.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local engine = redis.call('GET', KEYS[2])
if engine and engine ~= 'cell' then return {2} end
local epoch = tonumber(redis.call('GET', KEYS[1]) or '')
if not engine then
  epoch = nil
  redis.call('SET', KEYS[2], 'cell')
end
if not epoch or epoch > now then
  epoch = now
  redis.call('SET', KEYS[1], string.format('%.0f', now))
end
local failed = false
-- Takes units; says whether they were there, and how many are left.
local function throttle(bucket, units)
  local most, n = string.format('%.0f', bucket.most - 1), string.format('%.0f', units)
  local said = redis.pcall('CL.THROTTLE', bucket.key, most, '1000000', '1', n)
  if type(said) ~= 'table' or #said ~= 5 then
    failed = true
    return false, 0
  end
  return said[1] == 0, math.max(said[3], 0)
end
local function cost(bucket, n)
  return math.ceil(n * bucket.p / bucket.k)
end
local function give_up()
  redis.call('SET', KEYS[2], 'script')
  redis.call('SET', KEYS[1], string.format('%.0f', now))
  return {3}
end
local buckets, a = {}, 2
for i = 3, #KEYS do
  local period, tokens, burst = tonumber(ARGV[a]), tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
  a = a + 3
  local b = { key = KEYS[i], p = period, k = tokens, most = math.ceil(burst * period / tokens), taken = 0, extra = 0 }
  local fits, there = throttle(b, 0)
  if not fits and not failed then
    -- Beyond empty only when the burst shrank or the clock was set back: empty.
    redis.call('DEL', b.key)
    throttle(b, b.most)
    there, b.dirty = 0, true
  end
  if failed then return give_up() end
  -- Nobody knows what was spent before the epoch: a bucket counts as empty then.
  b.left = math.min(there, now - epoch)
  b.extra = there - b.left
  buckets[i - 2] = b
end
local out, argc = {}, #ARGV
while a <= argc do
  local least, levels = tonumber(ARGV[a]), tonumber(ARGV[a + 1])
  local lease = least > 0
  a = a + 2
  local wait, at, granted = 0, 0, 0
  for l = 1, levels do
    local b, n = buckets[tonumber(ARGV[a + 2 * l - 2])], tonumber(ARGV[a + 2 * l - 1])
    if lease then
      granted = n
      n = least
    end
    local lacks = cost(b, n) - b.left
    if lacks > wait then wait, at = lacks, l end
    if lease then
      local room = math.floor(b.left * b.k / b.p)
      if cost(b, room) > b.left then room = room - 1 end
      if room < granted then granted = math.max(room, least) end
    end
  end
  if wait > 0 then
    out[#out + 1] = 0
    out[#out + 1] = wait
    out[#out + 1] = at
  else
    out[#out + 1] = 1
    out[#out + 1] = granted
    for l = 1, levels do
      local b, n = buckets[tonumber(ARGV[a + 2 * l - 2])], tonumber(ARGV[a + 2 * l - 1])
      if lease then n = granted end
      b.left = b.left - cost(b, n)
      b.taken = b.taken + cost(b, n)
    end
  end
  a = a + 2 * levels
end
for _, b in ipairs(buckets) do
  if b.taken > 0 then
    -- It was there a moment ago: a server whose clock jumps back in between may refuse, and nothing is granted then.
    if not throttle(b, b.taken + b.extra) then return give_up() end
    b.dirty = true
  end
  if b.dirty then
    local value = redis.call('GET', b.key)
    if not value then return give_up() end
    redis.call('SET', b.key, value, 'PX', string.format('%.0f', math.ceil((b.most - b.left) / 1000) + 1000))
  end
end
return out
