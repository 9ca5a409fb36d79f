--- Tools: a model that acts. It is asked, what it calls is run, it is asked again with the results,
-- until it calls nothing more. Loaded by the Client when it is first needed.
-- @module llm.tools
local batches = require "llm.tool_batch"
local errors = require "llm.error"
local guard = require "llm.guard"
local log = require "llm.log"
local message = require "llm.message"
local options = require "llm.options"
local requests = require "llm.request"
local stream = require "llm.stream"
local tool = require "llm.tool"
local total = require "llm.total"

local MAX_STEPS, SIDE_BY_SIDE = 20, 16

local own = { max_steps = "number", approve = "function" }
local known = {}
for name, kind in pairs(requests.model_options) do known[name] = kind end
for name, kind in pairs(requests.call_options) do known[name] = kind end
for name, kind in pairs(own) do known[name] = kind end

local Run = {}
Run.__index = Run

local function new(client, messages, opts, where)
  local run = setmetatable({ client = client, messages = {}, sent = {}, steps = {},
    max_steps = MAX_STEPS, reply = nil, batch = nil, guard = nil, sum = nil, over = nil }, Run)
  for i, source in ipairs(message.normalise(messages)) do run.messages[i] = source end
  for name, value in pairs(options.check(opts, known, where)) do
    if own[name] then run[name] = value else run.sent[name] = value end
  end
  if run.max_steps < 1 then options.refuse(where, "max_steps must be at least 1") end
  run.sent.tools, run.tools = tool.index(run.sent.tools)
  run.most = run.sent.parallel_tool_calls == false and 1 or SIDE_BY_SIDE
  return run
end

-- A response with what all steps took, and with the steps.
function Run:whole(response)
  response = total.add(total.copy(response), self.sum)
  response.steps, response.messages = self.steps, self.messages
  return response
end

-- Ends the run with an error that holds the steps so far.
function Run:fail(err)
  self.over = true
  err.partial = err.partial and self:whole(err.partial) or self.sum
  return err
end

-- --- one call ------------------------------------------------------------------------------------

-- Asks whether a call may run; why not, otherwise.
function Run:refusal(call)
  if not self.approve then return nil end
  local allowed, reason = self.approve(call)
  if allowed == true then return nil end
  return "this call was not allowed" .. (reason and ": " .. tostring(reason) or "")
end

local function names_of(tools)
  local names = {}
  for name in pairs(tools) do names[#names + 1] = name end
  table.sort(names)
  return table.concat(names, ", ")
end

-- Why a call may not run; its arguments are read on the way.
function Run:problem_of(call, found, is_cut)
  if not found then
    return ("there is no tool %q; there are: %s"):format(call.name, names_of(self.tools))
  end
  if is_cut then return "the answer was cut at its length limit here, so nothing was run" end
  local arguments, problem = found:read(call.arguments)
  if problem then return problem end
  call.arguments = arguments
  return self:refusal(call)
end

local function set_error(call, text)
  call.error = text
  log.write("info", "tools", call.name .. ": " .. text)
end

-- --- one step ------------------------------------------------------------------------------------

-- All calls of a step have ended: their results are what the model is asked with next.
function Run:conclude(step)
  local messages = self.messages
  messages[#messages + 1] = step.response:message()
  for _, call in ipairs(step.calls) do
    messages[#messages + 1] = { role = "tool", tool_call_id = call.id, name = call.name,
      content = call.error and "error: " .. call.error or call.result,
      is_error = call.error and true or nil }
  end
  self.batch, self.guard = nil, nil
end

-- Asks about every call in turn; then those that may run start together.
function Run:start(step)
  local response, jobs = step.response, {}
  self.failed = {}
  for i, made in ipairs(response.tool_calls) do
    local call = { id = made.id, name = made.name, arguments = made.arguments, time = 0 }
    local is_cut = response.finish_reason == "length" and i == #response.tool_calls
    local found = self.tools[made.name]
    local problem = self:problem_of(call, found, is_cut)
    step.calls[i] = call
    if problem then
      set_error(call, tool.explain(problem))
      self.failed[#self.failed + 1] = call
    else
      jobs[#jobs + 1] = { call, found }
    end
  end
  self.batch = batches.new(self.most)
  self.guard = guard.new(self.batch)
  for _, job in ipairs(jobs) do self.batch:add(job[1], job[2], job[1].arguments) end
end

-- A reply has come: the end, or calls that are run; or nil and an error.
function Run:take(response)
  local step = { response = response, calls = {} }
  self.steps[#self.steps + 1] = step
  self.reply, self.sent.tool_choice = nil, nil -- a forced call is forced once
  self.sum = self:whole(response)
  if not response.tool_calls or response.finish_reason == "content_filter" then
    self.over = true
    local is_blank = response.tool_calls or not response.content:find("%S")
    if not is_blank then self.messages[#self.messages + 1] = response:message() end
    return true
  end
  if #self.steps >= self.max_steps then
    return nil, errors.new("budget", ("the model still calls tools in step %d, the last that " ..
      "max_steps allows"):format(#self.steps))
  end
  for _, made in ipairs(response.tool_calls) do
    if not made.name then
      return nil, errors.new("protocol", "the reply calls a tool without naming it")
    end
  end
  self:start(step)
  return true
end

-- The next call that has ended; nil when all have, which concludes the step.
function Run:next_call()
  local failed = table.remove(self.failed, 1)
  if failed then return failed end
  local ended = self.batch:next()
  if not ended then return self:conclude(self.steps[#self.steps]) end
  local call = ended.second
  local result, problem = ended.tool:outcome(ended.ok, ended.value, ended.more and ended.more[1])
  call.result = result
  if problem then set_error(call, problem) end
  return call
end

--- Cancels the request and the calls that run. Idempotent.
function Run:close()
  self.over = true
  if self.reply then self.reply:close() end
  if self.batch then self.batch:close() end
end
Run.__close = Run.close

-- --- all steps -----------------------------------------------------------------------------------

local function next_step(run)
  local response, err = run.client:generate_text(run.messages, run.sent)
  local ok
  if response then ok, err = run:take(response) end
  if not ok then
    run.err = run:fail(err)
    return nil
  end
  while run.batch do run:next_call() end
  return not run.over or nil
end

--- Asks, runs the tools that the model calls, and asks again, until it answers without a call.
-- @tparam Client client
-- @tparam string|table messages as for generate_text
-- @tparam table opts `tools` (a list of llm.tool or of tables with its fields), `max_steps`
-- (requests; 20), `approve` (`function(call) -> true | false, reason`, asked before each call; it
-- may wait), and the options of generate_text; `tool_choice` holds for the first step
-- @treturn Response the last one, with the sums of all; `steps`: a list of `{response=, calls=}`, a
-- call has `id, name, arguments, result, error, time`; `messages`: the conversation to go on with
-- @treturn nil, err `err.partial` has the steps so far; of kind `budget` after `max_steps`
-- @usage local response = assert(client:run_tools("Is it raining?", { tools = { weather } }))
local function run_tools(client, messages, opts)
  local run = new(client, messages, opts, "run_tools")
  for _ in next_step, run, nil, run do end -- the fourth value is closed by Lua 5.4, come what may
  if run.err then return nil, run.err end
  return run.sum
end

local function open(run)
  local reply, err = run.client.chain(run.client:request(run.messages, run.sent))
  if not reply then error(run:fail(err), 0) end
  run.reply, run.guard = reply, guard.new(reply)
  reply:finally(function(ended)
    if ended.err then
      ended.err.partial = ended:response()
      run:fail(ended.err)
    end
  end)
  return reply
end

local function call_event(call)
  local event = { type = "tool_result" }
  for name, value in pairs(call) do event[name] = value end
  return event
end

local function next_event(run)
  while not run.over do
    if run.batch then
      local call = run:next_call()
      if call then return call_event(call) end
    else
      local reply = run.reply or open(run)
      local kind, value = reply:next()
      if kind then return stream.event(kind, value) end
      local ok, err = run:take(reply:response())
      if not ok then error(run:fail(err), 0) end
    end
  end
end

--- What has come so far, and all of it after the loop.
-- @treturn Response|nil as run_tools gives it; nil before the first event
function Run:response()
  return self.reply and self:whole(self.reply:response()) or self.sum
end

--- The same, and yields the events of every reply (see stream_events), and `tool_result` when a
-- call has ended: `id, name, arguments, result, error, time`. Leaving the loop cancels what runs.
-- @tparam Client client
-- @tparam string|table messages
-- @tparam table opts as for run_tools
-- @return an iterator for `for`; its second value is the stream, with `:response()`, `:close()`
-- @raise the error that ended it
-- @usage for event in client:stream_tools(question, { tools = tools }) do print(event.type) end
local function stream_tools(client, messages, opts)
  local run = new(client, messages, opts, "stream_tools")
  return next_event, run, nil, run
end

return { run = run_tools, stream = stream_tools }
