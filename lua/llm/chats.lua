--- Chats: conversations kept between runs, each in a file of JSON lines: the model, then one
-- message a line. Names are confined to one folder.
-- @module llm.chats
local data_folder = require "llm.data_folder"
local json = require("llm.core").json
local message = require "llm.message"
local system = require("llm.core").system

local chats = {}

local LONGEST = 100 -- bytes of a name
local INDEX = "chats/.names" -- one name a line, the one that was saved last at the end

local function path_of(name)
  if type(name) ~= "string" or #name > LONGEST or not name:find("^[^%c/\\.][^%c/\\]*$") then
    return nil, ("a chat cannot be called %q: give at most %d bytes without / that do not begin "
      .. "with a dot"):format(tostring(name), LONGEST)
  end
  local path = data_folder.path("chats/" .. name .. ".jsonl")
  if not path then return nil, "there is no home directory to keep chats in" end
  if system.is_link(path) then return nil, path .. " is a link, which is not followed" end
  return path
end

local function read_index()
  local path, names = data_folder.path(INDEX), {}
  local file = path and not system.is_link(path) and io.open(path, "r")
  for name in file and file:lines() or function() end do
    if path_of(name) then names[#names + 1] = name end
  end
  if file then file:close() end
  return names
end

local function note(name)
  local names = read_index()
  for i = #names, 1, -1 do
    if names[i] == name then table.remove(names, i) end
  end
  names[#names + 1] = name
  return data_folder.save(data_folder.path(INDEX), table.concat(names, "\n") .. "\n")
end

--- The names of the chats that are kept.
-- @treturn table the one that was saved last first
-- @usage print(llm.chats.names()[1])
function chats.names()
  local list, names = {}, read_index()
  for i = #names, 1, -1 do
    local file = io.open(path_of(names[i]), "r")
    if file then
      file:close()
      list[#list + 1] = names[i]
    end
  end
  return list
end

--- Keeps a chat, in place of what was kept under its name.
-- @tparam string name
-- @tparam table chat `messages`, `model`
-- @treturn boolean true
-- @treturn nil, string
-- @usage assert(llm.chats.save("holidays", { messages = messages, model = "openai/gpt-5-mini" }))
function chats.save(name, chat)
  local path, problem = path_of(name)
  if not path then return nil, problem end
  local lines = { json.encode { model = chat.model } }
  for i, source in ipairs(chat.messages) do lines[i + 1] = json.encode(source) end
  local ok
  ok, problem = data_folder.save(path, table.concat(lines, "\n") .. "\n")
  if ok then ok, problem = note(name) end
  return ok, problem
end

local function decode(line, path, number)
  local value, problem = json.decode(line)
  if type(value) == "table" then
    if number == 1 then return value end
    local ok, err = pcall(message.normalise, value)
    if ok and value.role then return value end
    problem = err
  end
  return nil, ("%s:%d: %s"):format(path, number, tostring(problem or "is no JSON object"))
end

--- Reads a chat.
-- @tparam string name
-- @treturn table chat `messages`, `model`
-- @treturn nil, string, boolean what is wrong, and whether it is only that there is none
-- @usage local chat = assert(llm.chats.load "holidays")
function chats.load(name)
  local path, problem = path_of(name)
  if not path then return nil, problem end
  local file = io.open(path, "r")
  if not file then return nil, ("there is no chat %q"):format(name), true end
  local chat, number = { messages = {} }, 0
  for line in file:lines() do
    number = number + 1
    local value
    value, problem = decode(line, path, number)
    if not value then break end
    if number == 1 then chat.model = value.model else chat.messages[number - 1] = value end
  end
  file:close()
  if problem then return nil, problem end
  return chat
end

return chats
