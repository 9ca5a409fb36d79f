--- Anthropic's half-price message batches: one request with all requests, one stream of results.
-- @module llm.dialect.anthropic_batches
local json = require("llm.core").json
local headers_of = require "llm.headers"

local PATH = "/v1/messages/batches"
local SKEW = 600 -- seconds by which the provider's clock may be behind ours

local function table_or_empty(value) return type(value) == "table" and value or {} end
local function string_or_nil(value) return type(value) == "string" and value or nil end

local function encode_item(id, wire)
  wire.body.stream = nil
  return json.encode { custom_id = id, params = wire.body }
end

-- The list becomes the parts of the body, which is large and is put together once.
local function create(items)
  items[1] = '{"requests":[' .. items[1]
  items[#items] = items[#items] .. "]}"
  return { path = PATH, body = table.concat(items, ",") }
end

local function look(id) return { path = PATH .. "/" .. id } end
local function cancel(id) return { path = PATH .. "/" .. id .. "/cancel", body = "{}" } end
local function list(after)
  return { path = PATH .. "?limit=100" .. (after and "&after_id=" .. after or "") }
end

local function decode_batch(data)
  local counts = table_or_empty(data.request_counts)
  local function count(name) return tonumber(counts[name]) or 0 end
  local failed = count "errored" + count "canceled" + count "expired"
  local id = string_or_nil(data.id)
  local paths = string_or_nil(data.results_url) and { PATH .. "/" .. id .. "/results" } or {}
  return { id = id, status = tostring(data.processing_status), paths = paths,
    ended = data.processing_status == "ended" and "protocol" or nil,
    done = count "succeeded" + failed, failed = failed,
    total = count "succeeded" + failed + count "processing",
    created = headers_of.unix_time(data.created_at) }
end

-- A batch carries no name of ours but in its results, which are looked at when it has ended.
local function is_ours(batch, record)
  return batch.total == record.count and (batch.created or record.began) >= record.began - SKEW
end

local endings = {
  expired = { "timeout", "the batch expired before this request was done" },
  canceled = { "cancelled", "the batch was cancelled before this request was done" },
}

local function decode_result(data)
  local result = table_or_empty(data.result)
  local body = result.type == "succeeded" and result.message or
    result.type == "errored" and result.error
  if type(body) == "table" then return { id = data.custom_id, status = 200, body = body } end
  local ending = endings[result.type] or
    { "protocol", "the result has neither an answer nor an error" }
  return { id = data.custom_id, kind = ending[1], message = ending[2] }
end

return {
  requests_max = 100000, encode_item = encode_item, create = create, look = look,
  cancel = cancel, list = list, decode_batch = decode_batch, is_ours = is_ours,
  decode_result = decode_result,
}
