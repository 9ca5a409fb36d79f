--- Messages: `{role = "user", content = "…"}`; a plain string stands for one user message.
-- @module llm.message
local options = require "llm.options"

local roles = { system = true, user = true, assistant = true, tool = true }

local function is_blank(text) return not text:find("%S") end

local function lacks_data(part)
  if type(part.url) == "string" then return nil end
  return type(part.data) ~= "string" and "data (its bytes) or url; see llm.file" or
    type(part.mime) ~= "string" and "mime, the type of its data" or nil
end

local what_lacks = {
  text = function(part) return type(part.text) ~= "string" and "text" or nil end,
  image = lacks_data, audio = lacks_data, file = lacks_data,
}

local function check_parts(parts, where)
  if #parts == 0 then options.refuse(where, "content must not be an empty list") end
  for i, part in ipairs(parts) do
    if type(part) ~= "table" or type(part.type) ~= "string" then
      options.refuse(where, ("content part %d must be a table with a type"):format(i))
    end
    local missing = what_lacks[part.type] and what_lacks[part.type](part)
    if missing then
      options.refuse(where, ("content part %d of type %s needs %s"):format(i, part.type, missing))
    end
  end
end

local function refuse(message, where)
  if type(message) ~= "table" then
    options.refuse(where, "a message must be a table {role=, content=}, not a " .. type(message))
  end
  if not roles[message.role] then
    local near = options.nearest(tostring(message.role), roles)
    options.refuse(where, ("role must be system, user, assistant or tool, not %q%s"):format(
      tostring(message.role), near and ("; did you mean %q?"):format(near) or ""))
  end
  if type(message.content) == "table" then return check_parts(message.content, where) end
  options.refuse(where, type(message.content) == "string" and "content must not be blank"
    or "content must be a string or a list of parts, not a " .. type(message.content))
end

local function is_good(message)
  if type(message) ~= "table" or not roles[message.role] then return false end
  local content = message.content
  return type(content) == "string" and not is_blank(content)
    or message.role == "assistant" and message.tool_calls and type(content) ~= "table"
    or message.role == "tool" and type(content) == "string"
end

local function check(message, index)
  if not is_good(message) then refuse(message, "messages[" .. index .. "]") end
end

--- Checks messages and returns them as a list; raises invalid_request.
-- @tparam string|table messages a text, one message or a list of messages
-- @treturn table list of messages
local function normalise(messages)
  if type(messages) == "string" then
    messages = { { role = "user", content = messages } }
  elseif type(messages) == "table" and messages.role then
    messages = { messages }
  end
  if type(messages) ~= "table" or #messages == 0 then
    options.refuse("messages", "expected a text or a non-empty list of messages")
  end
  for i = 1, #messages do check(messages[i], i) end
  return messages
end

--- A conversation from a system prompt and texts that alternate between user and assistant.
-- @tparam string|nil system
-- @tparam table texts the first is the user's
-- @treturn table list of messages
-- @usage local messages = llm.build_conversation("Be brief.", {"Hi", "Hello!", "Who are you?"})
local function build_conversation(system, texts)
  local messages = {}
  if system then messages[1] = { role = "system", content = system } end
  for i, text in ipairs(texts) do
    messages[#messages + 1] = { role = i % 2 == 1 and "user" or "assistant", content = text }
  end
  return normalise(messages)
end

--- The text of a message's content: its text parts joined.
-- @tparam string|table|nil content
-- @treturn string
local function text_of(content)
  if type(content) ~= "table" then return content or "" end
  local texts = {}
  for _, part in ipairs(content) do
    if part.type == "text" then texts[#texts + 1] = part.text end
  end
  return table.concat(texts)
end

return { normalise = normalise, build_conversation = build_conversation, text_of = text_of }
