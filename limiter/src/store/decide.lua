-- One batch of GCRA decisions, atomic. Times are microseconds, exact below 2^53; an arrival time is whole us plus rem/tokens.
-- KEYS: 1 the epoch, 2 the engine, then each distinct bucket.
-- ARGV: 1 whether the caller can decide by redis-cell (0|1); for each bucket period_us, tokens, burst; then requests: least (0: all n, else a lease of least..n), levels, and for each level its bucket and n.
-- Reply: {2}: the members decide by redis-cell, and so can the caller; else for each request 1, granted and for each level tat, rem, taken, born as a refund needs them; or 0, wait_us, level.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local engine = redis.call('GET', KEYS[2])
if engine == 'cell' and ARGV[1] == '1' then return {2} end
local epoch = tonumber(redis.call('GET', KEYS[1]) or '')
if engine ~= 'script' then
  -- What was counted so far was counted elsewhere.
  epoch = nil
  redis.call('SET', KEYS[2], 'script')
end
if not epoch or epoch > now then
  epoch = now
  redis.call('SET', KEYS[1], string.format('%.0f', now))
end
local function split(units, tokens)
  local q = math.floor(units / tokens)
  local r = units - q * tokens
  if r < 0 then return q - 1, r + tokens end
  if r >= tokens then return q + 1, r - tokens end
  return q, r
end
local buckets, a = {}, 2
for i = 3, #KEYS do
  local period, tokens, burst = tonumber(ARGV[a]), tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
  a = a + 3
  local bq, br = split(burst * period, tokens)
  local tat, rem, was, taken, last, born = 0, 0, tokens, 0, 0, now
  local raw = redis.call('GET', KEYS[i])
  if raw and #raw == 48 then
    tat, rem, was, taken, last, born = struct.unpack('>dddddd', raw)
    if was ~= tokens and rem > 0 then tat, rem = tat + 1, 0 end
  end
  -- Nobody knows what was spent before the epoch: a bucket counts as empty then.
  if tat < epoch + bq or (tat == epoch + bq and rem < br) then tat, rem = epoch + bq, br end
  if tat < now then tat, rem = now, 0 end
  -- Beyond empty only when the burst shrank or the clock was set back: empty.
  if tat > now + bq or (tat == now + bq and rem > br) then tat, rem = now + bq, br end
  buckets[i - 2] = { p = period, k = tokens, bq = bq, br = br, tat = tat, rem = rem, taken = taken, last = last, born = born }
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
    local cq, cr = split(n * b.p, b.k)
    local q, r = b.tat + cq, b.rem + cr
    if r >= b.k then q, r = q + 1, r - b.k end
    local earliest = q - b.bq
    if r > b.br then earliest = earliest + 1 end
    if earliest - now > wait then wait, at = earliest - now, l end
    if lease then
      local room = split((now + b.bq - b.tat) * b.k + b.br - b.rem, b.p)
      if room < granted then granted = room end
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
      b.taken = b.taken + n
      out[#out + 1] = b.tat
      out[#out + 1] = b.rem
      out[#out + 1] = b.taken
      out[#out + 1] = b.born
      local cq, cr = split(n * b.p, b.k)
      b.tat, b.rem = b.tat + cq, b.rem + cr
      if b.rem >= b.k then b.tat, b.rem = b.tat + 1, b.rem - b.k end
      b.last = now
      b.dirty = true
    end
  end
  a = a + 2 * levels
end
for i, b in ipairs(buckets) do
  if b.dirty then
    local ttl = math.ceil((b.tat - now) / 1000) + 1000
    redis.call('SET', KEYS[i + 2], struct.pack('>dddddd', b.tat, b.rem, b.k, b.taken, b.last, b.born), 'PX', ttl)
  end
end
return out
