-- wrk posts one body until BENCH_SECONDS are over; then it waits, so that no request is cut off, and is told to end.
--
-- BENCH_BODY   the request body       BENCH_KEY   the caller's key, none where empty
--
-- Prints one line of JSON: requests, seconds (from the start to the last answer), p50 and p99 in µs, errors.

local ffi = require("ffi")
ffi.cdef("typedef struct { long sec; long usec; } bench_time; int gettimeofday(bench_time *, void *);")

local running = {}
local clock = ffi.new("bench_time")
local post

local function now()
  ffi.C.gettimeofday(clock, nil)
  return tonumber(clock.sec) + tonumber(clock.usec) / 1000000
end

function setup(thread)
  running[#running + 1] = thread
end

function init()
  local headers = { ["content-type"] = "application/json" }
  if os.getenv("BENCH_KEY") ~= "" then
    headers["authorization"] = "Bearer " .. os.getenv("BENCH_KEY")
  end
  post = wrk.format("POST", nil, headers, os.getenv("BENCH_BODY"))
  first = now()      -- these are global, so that done() can read them
  last = first
  stop_at = first + tonumber(os.getenv("BENCH_SECONDS"))
end

function request()   -- asked for at the start, and after each answer; nothing is sent for ""
  last = now()
  return last < stop_at and post or ""
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
