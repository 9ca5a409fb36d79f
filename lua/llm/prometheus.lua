--- Metrics in the text format of Prometheus 0.0.4. Names, attributes and bucket bounds of gen_ai_*
-- are those of https://github.com/open-telemetry/semantic-conventions-genai (gen-ai-metrics), with
-- dots written as underscores; what it has no name for is called llmrun_*.
-- @module llm.prometheus
local SECONDS = { 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96,
  81.92 }
local TOKENS = { 1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216,
  67108864 }
local SHORT = { 1e-5, 2e-5, 4e-5, 8e-5, 1.6e-4, 3.2e-4, 6.4e-4, 0.00128, 0.00256, 0.01, 0.1, 1 }

local function escape(value)
  return (tostring(value):gsub('[\\"\n]', { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }))
end

local function number(value) return ("%.17g"):format(value) end

local function labels_of(...)
  local parts = {}
  for i = 1, select("#", ...), 2 do
    local name, value = select(i, ...)
    parts[#parts + 1] = name .. '="' .. escape(value) .. '"'
  end
  return table.concat(parts, ",")
end

local function histogram(lines, name, labels, data, bounds)
  local summary = data:summary() or { count = 0, sum = 0 }
  for _, bound in ipairs(bounds) do
    lines[#lines + 1] = ('%s_bucket{%s,le="%.15g"} %d'):format(name, labels, bound,
      data:up_to(bound))
  end
  lines[#lines + 1] = ('%s_bucket{%s,le="+Inf"} %d'):format(name, labels, summary.count)
  lines[#lines + 1] = ("%s_sum{%s} %s"):format(name, labels, number(summary.sum))
  lines[#lines + 1] = ("%s_count{%s} %d"):format(name, labels, summary.count)
end

local function of_histogram(field, bounds)
  return function(lines, name, labels, row) histogram(lines, name, labels, row[field], bounds) end
end

local function of_counter(field)
  return function(lines, name, labels, row)
    lines[#lines + 1] = ("%s{%s} %s"):format(name, labels, number(row[field]))
  end
end

local function of_tokens(lines, name, labels, row)
  histogram(lines, name, labels .. ',gen_ai_token_type="input"', row.tokens_in, TOKENS)
  histogram(lines, name, labels .. ',gen_ai_token_type="output"', row.tokens_out, TOKENS)
end

local function of_errors(lines, name, labels, row)
  local kinds = {}
  for kind in pairs(row.errors) do kinds[#kinds + 1] = kind end
  table.sort(kinds)
  for _, kind in ipairs(kinds) do
    lines[#lines + 1] = ('%s{%s,error_type="%s"} %d'):format(name, labels, escape(kind),
      row.errors[kind])
  end
end

local families = {
  { "gen_ai_client_operation_duration_seconds", "histogram", "Duration of successful calls.",
    of_histogram("response_time", SECONDS) },
  { "gen_ai_client_operation_time_to_first_chunk_seconds", "histogram",
    "Time to the first content.", of_histogram("first_token_time", SECONDS) },
  { "gen_ai_client_token_usage", "histogram", "Tokens of a call.", of_tokens },
  { "llmrun_overhead_seconds", "histogram", "Our own time before the request was on its way.",
    of_histogram("overhead", SHORT) },
  { "llmrun_wait_seconds", "histogram", "Time in queues and between attempts.",
    of_histogram("wait", SECONDS) },
  { "llmrun_requests_total", "counter", "Calls.", of_counter("requests") },
  { "llmrun_errors_total", "counter", "Failed calls by kind.", of_errors },
  { "llmrun_cancelled_total", "counter", "Calls that were broken off.", of_counter("cancelled") },
  { "llmrun_retries_total", "counter", "Attempts after the first.", of_counter("retries") },
  { "llmrun_cache_hits_total", "counter", "Calls answered by the cache.",
    of_counter("cache_hits") },
  { "llmrun_cost_usd_total", "counter", "Estimated cost.", of_counter("cost") },
}

local function sorted(map)
  local names = {}
  for name in pairs(map) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- Each row with its labels, in the order of the names.
local function rows_of(providers)
  local rows = {}
  for _, provider in ipairs(sorted(providers)) do
    local models = providers[provider].models
    for _, model in ipairs(sorted(models)) do
      rows[#rows + 1] = { models[model], labels_of("gen_ai_operation_name", "chat",
        "gen_ai_provider_name", provider, "gen_ai_request_model", model) }
    end
  end
  return rows
end

return function(providers)
  local rows, lines = rows_of(providers), {}
  for _, family in ipairs(families) do
    local name, kind, help, write = family[1], family[2], family[3], family[4]
    lines[#lines + 1] = ("# HELP %s %s"):format(name, help)
    lines[#lines + 1] = ("# TYPE %s %s"):format(name, kind)
    for _, row in ipairs(rows) do write(lines, name, row[2], row[1]) end
  end
  return table.concat(lines, "\n") .. "\n"
end
