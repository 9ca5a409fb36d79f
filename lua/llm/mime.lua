--- Mime: what bytes are, by what stands in them; names are looked at only where bytes do not tell.
-- @module llm.mime
local json = require("llm.core").json

-- { what stands there, at which byte (1), type }; the first that is there holds
local marks = {
  { "\137PNG\r\n\26\n", 1, "image/png" }, { "\255\216\255", 1, "image/jpeg" },
  { "GIF87a", 1, "image/gif" }, { "GIF89a", 1, "image/gif" }, { "WEBP", 9, "image/webp" },
  { "II*\0", 1, "image/tiff" }, { "MM\0*", 1, "image/tiff" },
  { "%PDF-", 1, "application/pdf" },
  { "WAVE", 9, "audio/wav" }, { "ID3", 1, "audio/mpeg" }, { "fLaC", 1, "audio/flac" },
  { "OggS", 1, "audio/ogg" }, { "AIFF", 9, "audio/aiff" }, { "AVI ", 9, "video/x-msvideo" },
  { "ftypM4A", 5, "audio/mp4" }, { "ftyphei", 5, "image/heic" }, { "ftypmif1", 5, "image/heif" },
  { "ftypavif", 5, "image/avif" }, { "ftypqt", 5, "video/quicktime" }, { "ftyp", 5, "video/mp4" },
  { "\26\69\223\163", 1, "video/webm" }, { "\31\139\8", 1, "application/gzip" },
}

-- by the end of a name: types of text, and of containers that hold several
local endings = {
  md = "text/markdown", markdown = "text/markdown", csv = "text/csv", html = "text/html",
  htm = "text/html", json = "application/json", xml = "text/xml", svg = "image/svg+xml",
  css = "text/css", txt = "text/plain", doc = "application/msword",
  xls = "application/vnd.ms-excel", zip = "application/zip",
  docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
  xlsx = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
  pptx = "application/vnd.openxmlformats-officedocument.presentationml.presentation",
  png = "image/png", jpg = "image/jpeg", jpeg = "image/jpeg", gif = "image/gif",
  webp = "image/webp", pdf = "application/pdf", wav = "audio/wav", mp3 = "audio/mpeg",
  flac = "audio/flac", ogg = "audio/ogg", mp4 = "video/mp4",
}

--- What the end of a name says.
-- @tparam string|nil name
-- @treturn string|nil
local function of_name(name)
  local ending = name and name:match("%.(%w+)$")
  return ending and endings[ending:lower()]
end

--- What a binary format says of itself.
-- @tparam string bytes
-- @treturn string|nil
local function of_mark(bytes)
  for _, mark in ipairs(marks) do
    if bytes:sub(mark[2], mark[2] + #mark[1] - 1) == mark[1] then return mark[3] end
  end
  local first, second = bytes:byte(1, 2) -- a frame of MPEG audio, layer 3
  if first == 255 and second and second >= 224 and math.floor(second / 2) % 4 == 1 then
    return "audio/mpeg"
  end
end

local function is_text(bytes)
  return not bytes:find("\0", 1, true) and not bytes:find("[\1-\8\14-\26\28-\31]") and
    json.decode(json.encode(bytes)) == bytes -- which puts a mark where UTF-8 is broken
end

-- A container: the bytes say which one, the name what is in it.
local function of_container(bytes, name)
  local named = of_name(name)
  if bytes:sub(1, 4) == "PK\3\4" then
    return named and named:find("openxml") and named or "application/zip"
  elseif bytes:sub(1, 8) == "\208\207\17\224\161\177\26\225" then
    return named == endings.xls and named or endings.doc
  end
end

--- The type of bytes.
-- @tparam string bytes
-- @tparam[opt] string name of their file
-- @treturn string|nil nil when it is not known
-- @usage print(mime.of(bytes, "photo.png")) --> image/png
local function of(bytes, name)
  local found = of_mark(bytes) or of_container(bytes, name)
  if found or not is_text(bytes) then return found end
  local start = bytes:sub(1, 1000):lower()
  if start:find("^%s*<!doctype html") or start:find("^%s*<html") then return "text/html" end
  if start:find("<svg[%s>]") and start:find("^%s*<") then return "image/svg+xml" end
  local named = of_name(name)
  local is_of_text = named and (named:find("^text/") or named == "application/json")
  return is_of_text and named or "text/plain"
end

--- Whether a type is one of text, so that its bytes may be shown to a model as they are.
-- @tparam string type
-- @treturn boolean
local function is_textual(type)
  return (type:find("^text/") or type:find("[/+]json$") or type:find("[/+]xml$")) ~= nil
end

--- A file of text as text, for providers that take no such files.
-- @tparam table part
-- @treturn string|nil
local function text_of(part)
  if not part.data or not is_textual(part.mime) then return nil end
  return (part.name and part.name .. ":\n" or "") .. part.data
end

return { of = of, of_name = of_name, of_mark = of_mark, is_textual = is_textual, text_of = text_of }
