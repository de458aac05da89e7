-- hold: renews claims that are seated. Creates nothing and grants nothing. It takes one key per
-- claim, so that it is served while a slot of a cluster moves.
-- KEYS  L per item
-- ARGV  push, then att ttl metaSeq meta per item
-- returns  per item G now tok left | A now tok left grace reason | U now |
--          Q now 0 0 (it waits; not renewed, for its place is not to be seen from L alone)

verb = ARGV[1]
local out = {}
for i, L in ipairs(KEYS) do
  local a, ttl, seq, meta = ARGV[4 * i - 2], ARGV[4 * i - 1], ARGV[4 * i], ARGV[4 * i + 1]
  local k, r = load(L, nil, nil, nil, a)
  if not r or now >= r.x then
    out[i] = bare('U')
  elseif r.st == 'q' then
    out[i] = bare('Q') .. ' 0 0'
  else
    out[i] = granted(k, a, extend(k, a, r, ttl, seq, meta))
  end
end
return out
