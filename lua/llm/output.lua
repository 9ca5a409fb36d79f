--- Output: a model's text on its way to people.
-- @module llm.output
local system = require("llm.core").system

local descriptors = { stdin = 0, stdout = 1, stderr = 2 }
local on_terminal = system.isatty(1)
local is_progress_shown = false

--- Shows how far a script is, on standard error where people look: in place of what was shown
-- before. What is written to standard output takes it away.
-- @tparam[opt] string text nothing: takes it away
-- @usage llm.progress(("%d of %d"):format(done, total))
local function progress(text)
  if not (text or is_progress_shown) or not system.isatty(2) then return end
  io.stderr:write("\r\27[K", text or "")
  is_progress_shown = text ~= nil
end

-- No fault of the script, so that its place is not told.
local Failure = { __tostring = function(self) return self.message end }

local function fail(message)
  error(setmetatable({ message = "cannot write the output: " .. tostring(message) }, Failure), 0)
end

--- Writes text to standard output at once. On a terminal, control characters that the model sent
-- are shown and not obeyed; in a pipe every byte stays what it is.
-- @param ... strings, numbers or a Response
-- @raise when the output cannot be written
-- @usage for text in client:stream_text("Hi") do llm.write(text) end
local function write(...)
  progress()
  for i = 1, select("#", ...) do
    local text = tostring((select(i, ...)))
    if on_terminal then text = system.neutralise(text) end
    local ok, message = io.stdout:write(text)
    if not ok then fail(message) end
  end
  local ok, message = io.stdout:flush()
  if not ok then fail(message) end
end

--- Whether people see what goes there, or type what comes from there.
-- @tparam[opt] string name `"stdin"`, `"stdout"` (default) or `"stderr"`
-- @treturn boolean
-- @usage if llm.is_terminal "stderr" then io.stderr:write("still working\n") end
local function is_terminal(name)
  return system.isatty(descriptors[name or "stdout"])
end

return { write = write, progress = progress, is_terminal = is_terminal }
