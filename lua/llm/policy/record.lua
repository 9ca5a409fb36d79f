--- Record: keeps what goes over the wire in a file, and plays it back without asking anybody.
-- @module llm.policy.record
local options = require "llm.options"
local recording = require "llm.recording"

local known = { file = "string", mode = "string", timing = "boolean" }

local Record = {}
Record.__index = Record

function Record:__call(request, next)
  request.call.http = self.recording:http(request.call)
  return next(request)
end

--- Makes the policy. Given to several clients it keeps all of them in one file.
-- @tparam table opts `file`; `mode`: `"record"` begins the file anew, `"replay"` answers from it
-- without a connection (clients need no key), `"auto"` (default) answers from it and adds what is
-- missing. `timing`: replies take the time that they took (default: none)
-- @treturn policy for the option `policies` of llm.client
-- @usage local client = llm.client { model = "openai/gpt-5-mini",
--   policies = { llm.record { file = "answers.jsonl", mode = "replay" } } }
local function new(opts)
  opts = options.check(opts, known, "llm.record")
  if not opts.file then options.refuse("llm.record", "file is missing") end
  local kept = recording.open(opts.file, opts.mode or "auto", opts.timing)
  local first = kept.takes[1]
  return setmetatable({ recording = kept, offline = kept.offline,
    provider = first and first.request.provider }, Record)
end

return { new = new }
