--- OpenAI's half-price batches: a file of requests, a batch over it, files of results.
-- @module llm.dialect.openai_batches
local json = require("llm.core").json

local MARK = "llmrun-part-7f1c03d25b9e4a86" -- between the parts of an upload

local function table_or_empty(value) return type(value) == "table" and value or {} end
local function string_or_nil(value) return type(value) == "string" and value or nil end

local function encode_item(id, wire)
  return json.encode { custom_id = id, method = "POST", url = "/v1" .. wire.path, body = wire.body }
end

-- The list becomes the parts of the body, which is large and is put together once.
local function upload(items)
  local part = "--" .. MARK .. "\r\nContent-Disposition: form-data; name="
  items[1] = part .. '"purpose"\r\n\r\nbatch\r\n' .. part ..
    '"file"; filename="batch.jsonl"\r\nContent-Type: application/jsonl\r\n\r\n' .. items[1]
  items[#items] = items[#items] .. "\n\r\n--" .. MARK .. "--\r\n"
  return { path = "/files", body = table.concat(items, "\n"), headers = {
    ["Content-Type"] = "multipart/form-data; boundary=" .. MARK } }
end

local function create(_, file, tag)
  return { path = "/batches", body = json.encode { input_file_id = file,
    endpoint = "/v1/chat/completions", completion_window = "24h", metadata = { llmrun = tag } } }
end

local function look(id) return { path = "/batches/" .. id } end
local function cancel(id) return { path = "/batches/" .. id .. "/cancel", body = "{}" } end
local function list(after)
  return { path = "/batches?limit=100" .. (after and "&after=" .. after or "") }
end

-- How a batch ended, as the kind of the error of the rows that it does not answer.
local ends = { completed = "protocol", failed = "invalid_request", expired = "timeout",
  cancelled = "cancelled" }

local function decode_batch(data)
  local counts, paths = table_or_empty(data.request_counts), {}
  for _, name in ipairs { "output_file_id", "error_file_id" } do
    local file = string_or_nil(data[name])
    if file then paths[#paths + 1] = "/files/" .. file .. "/content" end
  end
  local fault = table_or_empty(table_or_empty(table_or_empty(data.errors).data)[1])
  return { id = string_or_nil(data.id), status = tostring(data.status),
    ended = ends[data.status], paths = paths, message = string_or_nil(fault.message),
    done = (tonumber(counts.completed) or 0) + (tonumber(counts.failed) or 0),
    failed = tonumber(counts.failed) or 0, created = tonumber(data.created_at),
    tag = table_or_empty(data.metadata).llmrun }
end

local function is_ours(batch, record) return batch.tag == record.tag end

local kinds = { batch_expired = "timeout", batch_cancelled = "cancelled" }

local function decode_result(data)
  local response, fault = table_or_empty(data.response), table_or_empty(data.error)
  if type(response.body) == "table" then
    return { id = data.custom_id, status = tonumber(response.status_code) or 200,
      body = response.body }
  end
  return { id = data.custom_id, kind = kinds[fault.code] or "provider_unavailable",
    message = string_or_nil(fault.message) or "the result has neither an answer nor an error" }
end

return {
  requests_max = 50000, encode_item = encode_item, upload = upload, create = create, look = look,
  cancel = cancel, list = list, decode_batch = decode_batch, is_ours = is_ours,
  decode_result = decode_result,
}
