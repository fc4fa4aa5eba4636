-- The one way a document gets into Redis: compare the stamp, then set.
--
-- KEYS[1]  the document
-- ARGV     1 op: put | tombstone | force | force-tombstone
--          2 version  3 token  (decimal text, 0 to 2^63-1)
--          4 name of the version field ("" if none)
--          5 body  6 pulled at, unix ms  7 time to live, ms
--          8 "1" if version and field hold for a tombstone that replaces a plain string
--          9 the highest epoch the writer knows of: Redis may have lost it
--
-- Answer: accepted 1|0, epoch, version and token stored after the call, what
-- stood there before (absent|live|tombstone|string), changed 1|0. A tombstone
-- over a plain string without ARGV[8] changes nothing and answers "string"
-- with that string as the seventh element: the version is inside it, and JSON
-- is not read here.
--
-- Numbers stay decimal text throughout: Lua's doubles are exact to 2^53 only.
local key, op, version, token = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local field, body = ARGV[4], ARGV[5]
local gone = op == 'tombstone' or op == 'force-tombstone'
local forced = op == 'force' or op == 'force-tombstone'

-- compare orders canonical decimal texts: by length, then byte by byte (not
-- with <, which follows the server's locale).
local function compare(a, b)
  if a == b then return 0 end
  if #a ~= #b then
    if #a < #b then return -1 end
    return 1
  end
  for i = 1, #a do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then
      if x < y then return -1 end
      return 1
    end
  end
  return 0
end

local function number(s)
  return type(s) == 'string' and #s <= 19
    and (s == '0' or string.find(s, '^[1-9][0-9]*$') ~= nil)
    and compare(s, '9223372036854775807') <= 0
end

-- What stands there. known is false for a missing key, a plain string and
-- anything that is not a document: those have no stamp to defend.
local known, previous, old = false, 'absent', false
local e, v, t, f = '0', '0', '0', ''
local h = redis.pcall('HMGET', key, 'e', 'v', 't', 'f', 's')
if h.err then
  if not string.find(h.err, 'WRONGTYPE', 1, true) then return h end
  local s = redis.pcall('GET', key)
  if type(s) == 'string' then
    previous, old = 'string', s
  end
elseif number(h[1]) and number(h[2]) and number(h[3]) and (h[5] == 'live' or h[5] == 'gone') then
  known = true
  e, v, t, f = h[1], h[2], h[3], h[4] or ''
  previous = 'live'
  if h[5] == 'gone' then previous = 'tombstone' end
end

if previous == 'string' and gone and ARGV[8] ~= '1' then
  return {'0', '0', '0', '0', 'string', '0', old}
end

-- What the write would make of it.
local accept = true
local ne, nv, nf = e, version, field
if compare(ARGV[9], ne) > 0 then ne = ARGV[9] end
if known then
  local newer = compare(token, t) > 0
  if gone then
    nv, nf = v, f
    -- A version the writer was told of may be lost here: the tombstone must
    -- still be above it. One from before a force says nothing.
    if field == '' and compare(ARGV[9], e) >= 0 and compare(version, v) > 0 then nv = version end
  end
  if forced or gone or ne ~= e then
    accept = newer -- with ne ~= e: the force that made this epoch is lost here
  elseif f ~= field then
    accept = newer -- versions of different fields are not comparable:
    ne = token     -- the token decides, and as the epoch it keeps the stamp rising
  else
    local c = compare(version, v)
    accept = c > 0 or (c == 0 and newer)
    if previous == 'tombstone' and not newer then
      accept = false -- pulled before the deletion, whatever its version
    end
  end
end
if e ~= '0' and compare(token, e) <= 0 or ARGV[9] ~= '0' and compare(token, ARGV[9]) <= 0 then
  accept = false -- pulled before the source was forced back
end
if forced then ne = token end

if not accept then
  return {'0', e, v, t, previous, '0'}
end

local changed = '0'
if previous == 'tombstone' then
  if not gone then changed = '1' end
elseif previous ~= 'absent' then
  if gone then
    changed = '1'
  else
    if known then old = redis.call('HGET', key, 'b') end
    if old ~= body then changed = '1' end
  end
end

if not known then redis.call('DEL', key) end
local state = 'live'
if gone then state, body = 'gone', '' end
redis.call('HSET', key, 'b', body, 'e', ne, 'v', nv, 't', token, 'f', nf, 's', state, 'p', ARGV[6])
redis.call('PEXPIRE', key, ARGV[7])
return {'1', ne, nv, token, previous, changed}
