-- wrk posts one body until BENCH_SECONDS are over, says "idle" when every connection has its last answer, so that no
-- request is cut off, and is told to end.
--
-- BENCH_BODY   the file of the request body       BENCH_HEADERS       one a line, "name: value"
--                                                 BENCH_CONNECTIONS   how many there are
--
-- Prints one line of JSON at its end: requests, seconds (from the start to the last answer), p50 and p99 in µs, errors.

local ffi = require("ffi")
ffi.cdef("typedef struct { long sec; long usec; } bench_time; int gettimeofday(bench_time *, void *);")

local running = {}
local clock = ffi.new("bench_time")
local busy, post

local function now()
  ffi.C.gettimeofday(clock, nil)
  return tonumber(clock.sec) + tonumber(clock.usec) / 1000000
end

function setup(thread)
  running[#running + 1] = thread
end

function init()
  local file = assert(io.open(os.getenv("BENCH_BODY"), "rb"))
  local headers = {}
  for name, value in os.getenv("BENCH_HEADERS"):gmatch("([^\n]-): ([^\n]+)") do
    headers[name] = value
  end
  post = wrk.format("POST", nil, headers, file:read("*a"))
  file:close()
  busy = tonumber(os.getenv("BENCH_CONNECTIONS"))
  first = now()      -- these are global, so that done() can read them
  last = first
  stop_at = first + tonumber(os.getenv("BENCH_SECONDS"))
end

function request()   -- asked for at the start, and after each answer; nothing is sent for ""
  last = now()
  if last < stop_at then
    return post
  end
  busy = busy - 1
  if busy == 0 then
    io.write("idle\n")
    io.flush()
  end
  return ""
end

function done(summary, latency)
  local seconds = 0
  for _, thread in ipairs(running) do
    seconds = math.max(seconds, thread:get("last") - thread:get("first"))
  end
  local errors = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status
    + summary.errors.timeout
  print(string.format('{"requests":%d,"seconds":%f,"p50_us":%d,"p99_us":%d,"errors":%d}', summary.requests, seconds,
    latency:percentile(50), latency:percentile(99), errors))
end
