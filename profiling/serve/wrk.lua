-- Posts one body again and again and prints the summary as one line of JSON. transport.py runs it:
--     wrk -s wrk.lua URL -- TARGET BODY_FILE CONTENT_TYPE PAUSE_MS
-- With a pause each connection waits so long between an answer and its next request.
function init(args)
    local file = assert(io.open(args[2], "rb"))
    wrk.method, wrk.path, wrk.body = "POST", args[1], file:read("*a")
    file:close()
    wrk.headers["Content-Type"] = args[3]
    local pause = tonumber(args[4])
    if pause > 0 then
        -- On average that, and never all connections at once.
        delay = function() return math.random(0, 2 * pause) end
    end
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '{"requests":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f,"p999_ms":%.3f,"max_ms":%.3f,"not_200":%d,"socket_errors":%d}\n',
        summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
        latency:percentile(99.9) / 1e3, latency.max / 1e3, errors.status,
        errors.connect + errors.read + errors.write + errors.timeout))
end
