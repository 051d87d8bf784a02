-- Turns a list under build into a complete one: what was pushed meanwhile, merged with what was gathered.
-- KEYS[1] list, KEYS[2] meta (home lists only).
-- ARGV: token, '1' if what was gathered is the whole history, meta value, life in seconds, kept, ids newest first.
-- Returns 1 if stored, 0 if the own token is not in place any more or there is nothing the list could claim.
local key, token, whole, kept = KEYS[1], ARGV[1], ARGV[2] == '1', tonumber(ARGV[5])
local FIRST = 6

local function less(a, b) return #a < #b or (#a == #b and a < b) end

if redis.call('LINDEX', key, -1) ~= token then return 0 end
local pushed = redis.call('LRANGE', key, 0, -2)
redis.call('DEL', key)
if not whole and #ARGV < FIRST then return 0 end

-- A late event may have been placed meanwhile that is older than all that was gathered: below the floor it would let
-- the list claim what nobody read, so there it is dropped.
table.sort(pushed, function(a, b) return less(b, a) end)
local floor = not whole and ARGV[#ARGV] or '0'
local list, i, j = {}, 1, FIRST
while #list < kept do
  local a, b = pushed[i], ARGV[j]
  if a and less(a, floor) then a = nil end
  if not a and not b then break end
  local following
  if a and (not b or not less(a, b)) then
    following, i = a, i + 1
  else
    following, j = b, j + 1
  end
  if following ~= list[#list] then list[#list + 1] = following end
end
while pushed[i] and pushed[i] == list[#list] do i = i + 1 end
while ARGV[j] and ARGV[j] == list[#list] do j = j + 1 end
if whole and not pushed[i] and not ARGV[j] then list[#list + 1] = '0' end

-- `unpack` is bounded by the Lua stack, a few thousand values.
for at = 1, #list, 500 do
  redis.call('RPUSH', key, unpack(list, at, math.min(at + 499, #list)))
end
redis.call('EXPIRE', key, ARGV[4])
if KEYS[2] then redis.call('SET', KEYS[2], ARGV[3], 'EX', ARGV[4]) end
return 1
