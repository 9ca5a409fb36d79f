--- Parts: images, audio and files as parts of a message.
-- `{type = "image"|"audio"|"file", mime =, data = bytes | url =, name =}`, which dialects read.
-- @module llm.part
local core = require "llm.core"
local errors = require "llm.error"
local mime = require "llm.mime"
local options = require "llm.options"

local MAX_BYTES = 20 * 1024 * 1024
local LONGEST_PATH = 4096

local known = { mime = "string", name = "string", max_bytes = "number" }

local function fail(text, ...) return nil, errors.new("invalid_request", text:format(...)) end

local function size(bytes) return ("%.1f MB"):format(bytes / 2 ^ 20) end

local function too_big(name, max_bytes)
  return fail("%s is larger than %s; raise max_bytes, if the provider takes more", name,
    size(max_bytes))
end

-- All of a file, as long as it is not too big.
local function read(path, max_bytes)
  local file, problem = io.open(path, "rb")
  if not file then
    return fail("%s; bytes are taken as such when their type shows, others as {type =, mime =, " ..
      "data =}", problem)
  end
  local bytes
  bytes, problem = file:read(max_bytes + 1)
  file:close()
  if problem then return fail("%s: %s", path, problem) end
  if bytes and #bytes > max_bytes then return too_big(path, max_bytes) end
  return bytes or ""
end

local function kind_of(type) return type:match("^(image)/") or type:match("^(audio)/") or "file" end

local function of_bytes(bytes, name, opts)
  local shown = name or "the data"
  if bytes == "" then return fail("%s is empty", shown) end
  if #bytes > (opts.max_bytes or MAX_BYTES) then
    return too_big(shown, opts.max_bytes or MAX_BYTES)
  end
  local type = opts.mime or mime.of(bytes, name)
  if not type then
    return fail("%s is of an unknown type; say which: mime = \"…\"", shown)
  end
  return { type = kind_of(type), mime = type, data = bytes, name = name }
end

local function of_data_url(url, opts)
  local type, encoded = url:match("^data:([^;,]+)[^,]*;base64,(.*)$")
  local bytes = type and core.base64.decode(encoded)
  if not bytes then return fail("a data: URL must be data:TYPE;base64,… with valid base64") end
  return of_bytes(bytes, opts.name, { mime = opts.mime or type, max_bytes = opts.max_bytes })
end

local function of_url(url, opts)
  local name = opts.name or url:gsub("[?#].*", ""):match("//.*/([^/]+)$")
  local type = opts.mime or mime.of_name(name)
  return { type = type and kind_of(type) or "file", mime = type, url = url, name = name }
end

-- A path may begin as a format does, but it holds no line end, no NUL and nothing binary.
local function is_bytes(source)
  return #source > LONGEST_PATH or source:find("\n", 1, true) or source:find("\0", 1, true) or
    mime.of_mark(source) and source:find("[%c\128-\255]")
end

--- A file as a part of a message: an image, audio, or any other. The type is told by the content.
-- @tparam string source a path, bytes (known by their type, a line end or a NUL), or a URL, which
-- the provider fetches
-- @tparam[opt] table opts `mime` (when the content does not tell), `name`, `max_bytes` (20 MB)
-- @treturn table part
-- @treturn nil, err of kind invalid_request: it cannot be read, is empty, too big, of unknown type
-- @usage local content = { assert(llm.file "report.pdf"), { type = "text", text = "Sum it up." } }
local function file(source, opts)
  opts = options.check(opts, known, "llm.file")
  if type(source) ~= "string" then
    options.refuse("llm.file", "a path, bytes or a URL is needed, not a " .. type(source))
  end
  if source:find("^data:") then return of_data_url(source, opts) end
  if source:find("^%a[%w+.-]*://") and not is_bytes(source) then return of_url(source, opts) end
  if source == "" or is_bytes(source) then return of_bytes(source, opts.name, opts) end
  local bytes, err = read(source, opts.max_bytes or MAX_BYTES)
  if not bytes then return nil, err end
  return of_bytes(bytes, opts.name or source:match("[^/\\]+$"), opts)
end

-- A part of one kind; a URL does not always tell.
local function of_kind(kind, source, opts)
  local part, err = file(source, opts)
  if not part then return nil, err end
  if part.url and not part.mime then part.type = kind end
  if part.type == kind then return part end
  return fail("%s is %s, not %s", part.name or "the data", part.mime,
    kind == "image" and "an image" or "audio")
end

--- An image as a part of a message.
-- @tparam string source a path, bytes or a URL
-- @tparam[opt] table opts as for llm.file
-- @treturn table part
-- @treturn nil, err
-- @usage local part = assert(llm.image "photo.png")
local function image(source, opts) return of_kind("image", source, opts) end

--- Audio as a part of a message.
-- @tparam string source a path, bytes or a URL
-- @tparam[opt] table opts as for llm.file
-- @treturn table part
-- @treturn nil, err
-- @usage local part = assert(llm.audio "call.mp3")
local function audio(source, opts) return of_kind("audio", source, opts) end

local kinds = { image = true, audio = true, file = true }

-- A row about a file may have a type, too; a part has what it is a part of.
local function is_part(value)
  if type(value) ~= "table" then return false end
  if value.type == "text" then return type(value.text) == "string" end
  local has_data = type(value.data) == "string" and type(value.mime) == "string"
  return kinds[value.type] ~= nil and (has_data or type(value.url) == "string")
end

--- The parts that a value is: one, or a list of them.
-- @param value
-- @treturn table|nil list
local function list_of(value)
  if is_part(value) then return { value } end
  if type(value) ~= "table" or value[1] == nil then return nil end
  for _, part in ipairs(value) do
    if not is_part(part) then return nil end
  end
  return value
end

return { file = file, image = image, audio = audio, list_of = list_of }
