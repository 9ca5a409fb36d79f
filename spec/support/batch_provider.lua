--- A server on loopback that speaks the batch APIs of OpenAI and Anthropic. What it has is in
-- `files`, `batches` (in the order in which they were created); `looks`: so many looks until a
-- batch has ended; `result(item)` may give a line of the results of its own, or false for none;
-- `fault(request)` may answer before it.
local core = require "llm.core"
local task = require "llm.task"

local encode, decode = core.json.encode, core.json.decode

local Provider = {}
Provider.__index = Provider

local function text_of(item)
  local messages = (item.body or item.params).messages
  local content = messages[#messages].content
  return type(content) == "string" and content or content[1].text
end

local results = {}

function results.openai(item)
  return { id = "r", custom_id = item.custom_id, error = core.json.null, response = {
    status_code = 200, body = { id = "c", object = "chat.completion", model = "gpt-4o-mini",
      choices = { { index = 0, finish_reason = "stop",
        message = { role = "assistant", content = "re: " .. text_of(item) } } },
      usage = { prompt_tokens = 1000, completion_tokens = 100, total_tokens = 1100 } } } }
end

function results.anthropic(item)
  return { custom_id = item.custom_id, result = { type = "succeeded", message = { id = "m",
    type = "message", role = "assistant", model = "claude-haiku-5-5", stop_reason = "end_turn",
    content = { { type = "text", text = "re: " .. text_of(item) } },
    usage = { input_tokens = 1000, output_tokens = 100 } } } }
end

local function create(self, kind, items, tag)
  local batch = { kind = kind, items = items, looks = self.looks, tag = tag,
    id = "batch_" .. #self.batches + 1, created = os.time(), status = self.status }
  self.batches[#self.batches + 1] = batch
  return batch
end

local function describe(batch)
  local is_over = batch.looks <= 0
  local count = #batch.items
  if batch.kind == "openai" then
    return { id = batch.id, object = "batch", created_at = batch.created,
      status = is_over and (batch.status or "completed") or "in_progress",
      output_file_id = is_over and batch.id .. "-out" or core.json.null,
      request_counts = { total = count, completed = is_over and count or 0, failed = 0 },
      metadata = { llmrun = batch.tag } }
  end
  return { id = batch.id, type = "message_batch",
    created_at = os.date("!%Y-%m-%dT%H:%M:%SZ", batch.created),
    processing_status = is_over and "ended" or "in_progress",
    results_url = is_over and "https://elsewhere.example/results" or core.json.null,
    request_counts = { processing = is_over and 0 or count, succeeded = is_over and count or 0,
      errored = 0, canceled = 0, expired = 0 } }
end

local function lines_of(self, batch)
  local lines = {}
  for i = #batch.items, 1, -1 do -- in no order that was asked for
    local item = batch.items[i]
    local line = self.result and self.result(item, results[batch.kind])
    if line == nil then line = results[batch.kind](item) end
    if line then lines[#lines + 1] = type(line) == "string" and line or encode(line) end
  end
  return table.concat(lines, "\n") .. "\n"
end

local function parse_lines(text)
  local items = {}
  for line in text:gmatch("[^\r\n]+") do
    if line:sub(1, 1) == "{" then items[#items + 1] = assert(decode(line)) end
  end
  return items
end

local function list_of(self)
  local list = {}
  for i = #self.batches, 1, -1 do list[#list + 1] = describe(self.batches[i]) end
  return { data = list, has_more = false }
end

local function of_path(self, path)
  local id = path:match("(batch_%d+)")
  for _, batch in ipairs(self.batches) do
    if batch.id == id then return batch end
  end
end

local function post(self, path, body)
  if path == "/v1/files" then
    self.files[#self.files + 1] = parse_lines(body)
    return { id = "file-" .. #self.files }
  elseif path:find("/cancel$") then
    local batch = of_path(self, path)
    batch.looks, batch.status, batch.items = 0, "cancelled", {}
    return describe(batch)
  end
  local asked = decode(body)
  if asked.requests then return describe(create(self, "anthropic", asked.requests)) end
  return describe(create(self, "openai", self.files[tonumber(asked.input_file_id:match("%d+"))],
    asked.metadata.llmrun))
end

local function get(self, path)
  if path:find("batches$") then return list_of(self) end
  local batch = of_path(self, path)
  if path:find("results$") or path:find("content$") then return lines_of(self, batch) end
  batch.looks = batch.looks - 1
  return describe(batch)
end

local function answer(self, request)
  local path = request:path():gsub("%?.*", "")
  self.log[#self.log + 1] = request:method() .. " " .. path
  self.keys[request:header("authorization") or request:header("x-api-key") or "none"] = true
  if not (self.fault and self.fault(request, path)) then
    local is_post = request:method() == "POST"
    local reply = is_post and post(self, path, request:body()) or get(self, path)
    if not (self.swallow and self.swallow(path)) then
      local is_text = type(reply) == "string"
      request:respond(200, { ["Content-Type"] = is_text and "application/x-jsonl" or
        "application/json" }, is_text and reply or encode(reply))
    end
  end
  request:close()
end

local function serve(self)
  while true do
    local request = self.server:accept()
    if request then task.spawn(answer, self, request) else task.wait(self.server:id()) end
  end
end

function Provider:close()
  self.serving:cancel()
  self.server:close()
end

return function()
  local self = setmetatable({ files = {}, batches = {}, log = {}, keys = {}, looks = 2 }, Provider)
  self.server = assert(core.server.listen(task.loop(), {}))
  self.base_url = "http://127.0.0.1:" .. self.server:port()
  self.serving = task.spawn(serve, self)
  return self
end
