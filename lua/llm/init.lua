--- llm: talk to language models from Lua. `local llm = require "llm"` is the whole public surface;
-- every part is loaded when it is first used.
-- @module llm
local core = require "llm.core"

-- public name -> { module, field (nil: the module itself) }
local parts = {
  client = { "llm.client", "new" },
  message = { "llm.message" }, build_conversation = { "llm.message", "build_conversation" },
  spawn = { "llm.task", "spawn" }, map = { "llm.map", "map" }, each = { "llm.each", "each" },
  chats = { "llm.chats" }, interrupted = { "llm.interrupt", "interrupted" },
  piecewise = { "llm.piecewise", "piecewise" }, transform = { "llm.piecewise", "transform" },
  rows = { "llm.rows", "rows" }, batch = { "llm.batch", "batch" },
  batch_via = { "llm.batch_via", "batch_via" },
  template = { "llm.template", "new" }, chat_request = { "llm.request", "of_chat" },
  progress = { "llm.output", "progress" },
  report = { "llm.report", "report" }, split = { "llm.split", "split" },
  window = { "llm.split", "window" }, sleep = { "llm.task", "sleep" },
  live = { "llm.task", "live" }, task = { "llm.task" },
  loop = { "llm.task" },
  logs = { "llm.logs" }, record = { "llm.policy.record", "new" },
  conformance = { "llm.conformance" }, failure = { "llm.failure" },
  parameters = { "llm.parameters" }, process = { "llm.process" },
  provider = { "llm.provider", "new" }, extend = { "llm.provider", "extend" },
  error = { "llm.error" }, log = { "llm.log" }, config = { "llm.config" },
  mcp = { "llm.mcp", "new" }, mcp_server = { "llm.mcp.server", "run" },
  mock = { "llm.mock", "new" }, write = { "llm.output", "write" }, args = { "llm.args", "parse" },
  input = { "llm.args", "input" }, read = { "llm.args", "read" }, table = { "llm.table", "write" },
  text = { "llm.args", "text" }, is_terminal = { "llm.output", "is_terminal" },
  stop = { "llm.args", "stop" }, columns = { "llm.columns", "new" },
  image = { "llm.part", "image" }, audio = { "llm.part", "audio" }, file = { "llm.part", "file" },
  tool = { "llm.tool", "new" }, url = { "llm.url" }, schema = { "llm.schema" },
  cost = { "llm.cost" }, estimate_cost = { "llm.cost", "estimate" },
  models = { "llm.cost", "models" },
  metrics = { "llm.metrics", "snapshot" }, health = { "llm.health" },
  tokenizer = { "llm.tokens", "tokenizer" }, count_tokens = { "llm.tokens", "count_tokens" },
  estimate_tokens = { "llm.tokens", "estimate_tokens" },
  check_environment = { "llm.keys", "check_environment" },
}

-- llm.policy.retry, llm.host.luv …: a folder of modules
local function folder(name)
  return setmetatable({}, { __index = function(self, key)
    local module = require("llm." .. name .. "." .. key)
    rawset(self, key, module)
    return module
  end })
end

local llm = {
  version = core.version, json = core.json, null = core.json.null, base64 = core.base64,
  policy = folder "policy", host = folder "host", histogram = core.histogram.new,
  clock = core.loop.clock,
}

--- A framer for a host whose sockets are its own: `feed(bytes)`, `next()`, `finish()`.
-- @tparam string kind `"sse"`, `"ndjson"` or `"json"`
-- @treturn Framer `next() -> {event=, data=, id=} | nil`
-- @usage local f = llm.framer "sse"; f:feed(bytes); for frame in f.next, f do print(frame.data) end
function llm.framer(kind) return core.framer.new(kind) end

return setmetatable(llm, { __index = function(self, key)
  local part = parts[key]
  if not part then return nil end
  local module = require(part[1])
  local value = part[2] and module[part[2]] or not part[2] and module or nil
  rawset(self, key, value)
  return value
end })
