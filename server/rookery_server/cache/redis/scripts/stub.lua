-- Replaces relations by a stub and removes the home list, its meta and history, and with the list any build token.
-- KEYS relations, list, meta, history.  ARGV: version (8 bytes, big-endian), life in ms, change (8 bytes, or
-- empty: not remembered), '1' = only if no stub was set for exactly this change before.
-- Value: format 2, kind (0 stub), version (8 bytes), number of changes it was stubbed for, these (8 bytes each, newest
-- last), …  Any other format is no history of ours and is overwritten as if it were not there.  The layout's other half
-- is relations.py.  Versions are handled as bytes: a Lua number loses them above 2^53.
local version, change, ring = ARGV[1], ARGV[3], ''

local function less(a, b)
  for i = 1, 8 do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x < y end
  end
  return false
end

local function successor(a)
  for i = 8, 1, -1 do
    local byte = a:byte(i)
    if byte < 255 then return a:sub(1, i - 1) .. string.char(byte + 1) .. string.rep('\0', 8 - i) end
  end
  return a
end

local function holds(all, one)
  for i = 1, #all, 8 do
    if all:sub(i, i + 7) == one then return true end
  end
  return false
end

local old = redis.call('GET', KEYS[1])
if old and #old >= 11 and old:byte(1) == 2 then
  local following = successor(old:sub(3, 10))
  if less(version, following) then version = following end
  ring = old:sub(12, 11 + 8 * old:byte(11))
end
if holds(ring, change) then
  if ARGV[4] == '1' then return 0 end
else
  ring = (ring .. change):sub(-64)
end
redis.call('SET', KEYS[1], '\2\0' .. version .. string.char(#ring / 8) .. ring, 'PX', ARGV[2])
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
return 1
