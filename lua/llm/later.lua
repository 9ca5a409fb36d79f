--- Later: methods of the Client whose modules are loaded when they are first called: a plain call
-- does not pay for them.
-- @module llm.later
local Later = {}

--- Asks for a value that fits a schema: see llm.object.
-- @treturn Response with `object`
-- @treturn nil, err
-- @usage local r = assert(client:generate_object(review, { schema = "mood: good|bad, why" }))
function Later:generate_object(messages, opts)
  return require("llm.object").generate(self, messages, opts)
end

--- The same, and yields the value as far as it came: see llm.object_stream.
-- @usage for partial in client:stream_object(text, { schema = "title, tags: string[]" }) do … end
function Later:stream_object(messages, opts)
  return require("llm.object_stream").stream(self, messages, opts)
end

--- Asks, runs the tools that the model calls, and asks again: see llm.tools.
-- @treturn Response with `steps` and `messages`
-- @treturn nil, err
-- @usage local response = assert(client:run_tools("Is it raining?", { tools = { weather } }))
function Later:run_tools(messages, opts) return require("llm.tools").run(self, messages, opts) end

--- The same, and yields every event: see llm.tools.
-- @usage for event in client:stream_tools(question, { tools = tools }) do print(event.type) end
function Later:stream_tools(messages, opts)
  return require("llm.tools").stream(self, messages, opts)
end

return Later
