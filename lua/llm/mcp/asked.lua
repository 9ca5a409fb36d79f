--- Asked: what an MCP server may ask of us: roots, a model's answer.
-- @module llm.mcp.asked
local content = require "llm.mcp.content"
local core = require "llm.core"
local peers = require "llm.mcp.peer"

--- What we tell the server that we can do.
-- @tparam Session session
-- @treturn table
local function capabilities(session)
  return { roots = session.roots and {} or nil, sampling = session.sampling and {} or nil }
end

local function roots_of(session)
  local list = setmetatable({}, core.json.array_mt)
  for i, root in ipairs(session.roots) do
    list[i] = type(root) == "table" and root or { uri = root }
  end
  return { roots = list }
end

local function invalid(message) return nil, { code = peers.codes.params, message = message } end

local reasons = { length = "maxTokens", tool_calls = "toolUse" }

local function sample(session, params)
  local messages = {}
  for i, message in ipairs(type(params.messages) == "table" and params.messages or {}) do
    messages[i] = { role = message.role, content = content.value_of(message.content) }
  end
  if not messages[1] then return invalid("messages is missing or empty") end
  if type(params.systemPrompt) == "string" then
    table.insert(messages, 1, { role = "system", content = params.systemPrompt })
  end
  local response, err = session.sampling:generate_text(messages, { max_tokens = params.maxTokens,
    temperature = params.temperature, stop = params.stopSequences })
  if not response then return nil, { code = peers.codes.internal, message = tostring(err) } end
  return { role = "assistant", content = { type = "text", text = response.content },
    model = response.model, stopReason = reasons[response.finish_reason] or "endTurn" }
end

--- The methods of a session's peer.
-- @tparam Session session
-- @treturn table name -> function
local function methods(session)
  return {
    ping = function() return {} end,
    ["roots/list"] = session.roots and function() return roots_of(session) end,
    ["sampling/createMessage"] = session.sampling and
      function(params) return sample(session, params) end,
    ["elicitation/create"] = function() return { action = "decline" } end,
  }
end

return { capabilities = capabilities, methods = methods }
