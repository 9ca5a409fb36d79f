--- The folder of what is kept for this user: $XDG_DATA_HOME/llmrun. Files in it are whole or not
-- there, and their owner alone may read them.
-- @module llm.data_folder
local system = require("llm.core").system

--- The path of a file in the folder.
-- @tparam string name a name that is no user's input
-- @treturn string|nil nil where there is no home directory
local function path(name)
  local data, home = os.getenv("XDG_DATA_HOME"), os.getenv("HOME")
  if not data or data == "" then data = home and home ~= "" and home .. "/.local/share" end
  return data and data .. "/llmrun/" .. name or nil
end

local function write(file, message, bytes)
  if not file then return nil, message end
  local ok
  ok, message = file:write(bytes)
  local closed, close_message = file:close()
  if ok and closed then return true end
  return nil, message or close_message
end

--- Makes the folders on the way to a file; opening the file shows whether one is missing.
-- @tparam string file path
-- @treturn string the path
local function make(file)
  for slash in file:gmatch("()/") do
    if slash > 1 then system.mkdir(file:sub(1, slash - 1)) end
  end
  return file
end

--- Writes a file: first a draft, which takes its place. Folders on its way are made.
-- @tparam string file path
-- @tparam string bytes
-- @treturn boolean true
-- @treturn nil, string
local function save(file, bytes)
  local draft = make(file) .. ".new"
  os.remove(draft) -- or what it links to would be written
  local ok, message = system.create(draft)
  if ok then ok, message = io.open(draft, "wb") end
  if ok then ok, message = write(ok, message, bytes) end
  if ok then ok, message = os.rename(draft, file) end
  if ok then return true end
  os.remove(draft)
  return nil, message
end

return { path = path, make = make, save = save }
