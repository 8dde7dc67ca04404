-- Gives tokens back: each bucket returns to a state no fuller than if they had never been asked for.
-- KEYS: the buckets. ARGV for each: period_us, tokens, kept, and tat, rem, taken, born as the grant said them.
local given = 0
for i = 1, #KEYS do
  local a = (i - 1) * 7
  local period, tokens, kept = tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3])
  local raw = redis.call('GET', KEYS[i])
  if raw and #raw == 48 then
    local tat, rem, was, taken, last, born = struct.unpack('>dddddd', raw)
    local since = taken - tonumber(ARGV[a + 6])
    -- Another birth: the bucket ran full, or was lost; there is nothing to give back to.
    if born == tonumber(ARGV[a + 7]) and was == tokens and since >= 0 then
      local q, r = tonumber(ARGV[a + 4]), tonumber(ARGV[a + 5])
      if since > 0 and q < last then q, r = last, 0 end
      local units = (kept + since) * period
      local cq = math.floor(units / tokens)
      local cr = units - cq * tokens
      if cr < 0 then cq, cr = cq - 1, cr + tokens end
      q, r = q + cq, r + cr
      if r >= tokens then q, r = q + 1, r - tokens end
      if q < tat or (q == tat and r < rem) then
        redis.call('SET', KEYS[i], struct.pack('>dddddd', q, r, was, taken, last, born), 'KEEPTTL')
        given = given + 1
      end
    end
  end
end
return given
