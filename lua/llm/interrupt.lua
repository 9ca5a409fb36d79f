--- Interrupt: Ctrl-C for scripts that go on after it.
-- @module llm.interrupt
local signalled = package.loaded["llm.signalled"] -- of the command; hosts have signals of their own

--- Whether Ctrl-C was pressed since the last call. From the first call on it ends only the wait or
-- the reading that it meets (with an error, as if the script had been interrupted) and not the
-- script; pressed again before the next call it ends the script.
-- @treturn boolean
-- @usage llm.interrupted()
-- local ok = pcall(ask, question)
-- if not ok and llm.interrupted() then print("stopped") end
local function interrupted()
  return signalled ~= nil and signalled(true) ~= nil
end

return { interrupted = interrupted }
