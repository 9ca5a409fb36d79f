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

local function budget_of(client)
  for _, policy in ipairs(client.policies) do
    if type(policy) == "table" and policy.can_make_request then return policy end
  end
  error("this client has no budget; give llm.client { budget = { usd = … } }", 3)
end

--- Whether the client's budget lets a call through that may cost so much.
-- @tparam[opt] number amount USD, or tokens for a budget of tokens; default: any
-- @tparam[opt] string account where the budget is split: `"tag:nightly"`
-- @treturn boolean
-- @treturn number|err what is left; the error where the budget cannot be looked at
-- @usage if client:can_make_request(0.05) then … end
function Later:can_make_request(amount, account)
  return budget_of(self):can_make_request(amount, account)
end

--- What the client's budget is at: see llm.policy.budget.
-- @treturn table `spent`, `reserved`, `left`, `limit`, `unit`, `resets_at`
-- @treturn nil, err
function Later:budget_status(account) return budget_of(self):status(account) end

return Later
