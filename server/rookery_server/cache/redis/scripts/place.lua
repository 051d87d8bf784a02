-- Puts an id into its place in an existing list, once.
-- KEYS[1] list.  ARGV: id, the lowest id that can stand above it by the order bound, trim at, kept.
-- Returns 0 no list, 1 inserted or moved, 2 already in place, 3 below the floor of a list without end mark.
-- Ids are compared as text: a Lua number loses them above 2^53.
local key, id, bound = KEYS[1], ARGV[1], ARGV[2]

local top = redis.call('LINDEX', key, 0)
if not top then return 0 end

local DASH = 45  -- begins a build's token, which is the last entry until the build is finished

local function older(entry, than)
  return #entry < #than or (#entry == #than and entry < than)
end

local function trim(length)
  if length > tonumber(ARGV[3]) and redis.call('LINDEX', key, -1):byte(1) ~= DASH then
    redis.call('LTRIM', key, 0, tonumber(ARGV[4]) - 1)
  end
end

-- As a rule nothing in the list is as young as the bound: then no entry is newer, none is a copy, and the floor, if
-- there is one, is below.  This look and push take two thirds of the time of all that follows.
if older(top, bound) then
  trim(redis.call('LPUSHX', key, id))
  return 1
end

local tail = redis.call('LINDEX', key, -1)
local token = tail:byte(1) == DASH and tail
if not token and tail ~= '0' and older(id, tail) then return 3 end

-- Everything newer than the id, and every copy of it, stands above the first entry older than the bound.
-- `above_at` is where the last newer entry stands once the copies are gone.
local above, above_at, smaller, misplaced, copies = nil, nil, false, false, 0

local function scan()
  -- Ten seconds of a list are a few entries; what needs more is read in larger parts.
  local at, size = 0, 12
  while true do
    local part = redis.call('LRANGE', key, at, at + size - 1)
    for i, entry in ipairs(part) do
      if entry == id then
        copies = copies + 1
        misplaced = misplaced or smaller
      elseif entry == token then
        return
      elseif older(id, entry) then
        above, above_at = entry, at + i - 1 - copies
        misplaced = misplaced or copies > 0
      elseif older(entry, bound) then
        return
      else
        smaller = true
      end
    end
    if #part < size then return end
    at, size = at + size, 64
  end
end

scan()
if copies == 1 and not misplaced then return 2 end
if copies > 0 then
  if copies == redis.call('LLEN', key) then
    redis.call('LTRIM', key, 0, 0)
    return 2
  end
  redis.call('LREM', key, 0, id)
end
if above then
  -- By position, since LINSERT would take the first of two doubles.
  redis.call('LSET', key, above_at, '#')
  local length = redis.call('LINSERT', key, 'AFTER', '#', id)
  redis.call('LSET', key, above_at, above)
  trim(length)
else
  trim(redis.call('LPUSHX', key, id))
end
return 1
