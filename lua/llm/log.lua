--- Log lines: a level, who speaks, what happened; to standard error or a function.
-- @module llm.log
local core = require "llm.core"
local secret = require "llm.secret"

local levels = { debug = 1, info = 2, warn = 3, error = 4, off = 5 }
local threshold = levels[os.getenv("LLM_LOG") or "warn"] or levels.warn
local sink

local function to_stderr(level, source, message)
  io.stderr:write("llmrun: ", level, ": ", source, ": ", core.system.neutralise(message), "\n")
end

--- Writes a line if its level is logged; credentials are masked.
-- @tparam string level `debug`, `info`, `warn` or `error`
-- @tparam string source the provider's or the part's name
-- @tparam string message
local function write(level, source, message)
  if levels[level] < threshold then return end
  (sink or to_stderr)(level, source, secret.scrub(message))
end

--- Chooses what is logged and where to.
-- @tparam string level the least level that is written, or `off`
-- @tparam[opt] function to `to(level, source, message)`; nil: standard error
local function configure(level, to)
  if not levels[level] then error("unknown log level " .. tostring(level), 2) end
  threshold, sink = levels[level], to
end

return { write = write, configure = configure }
