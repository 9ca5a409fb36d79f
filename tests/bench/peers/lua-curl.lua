-- What a Lua programmer writes with Debian's lua-curl and lua-cjson. This lua-curl has no multi
-- interface, so it does one thing at a time: one stream, or calls in a row on one connection.
-- lua-curl.lua BASE_URL stream 1 | calls COUNT
local curl = require "curl"
local cjson = require "cjson"

local url, kind, count = arg[1] .. "/chat/completions", arg[2], tonumber(arg[3])

local function print_event(line)
  local data = line:match("^data: (.*)")
  if not data or data == "[DONE]" then return end
  local choice = cjson.decode(data).choices[1]
  if choice and type(choice.delta.content) == "string" then io.write(choice.delta.content) end
end

local rest = ""
local function scan(bytes)
  rest = rest .. bytes
  local from = 1
  while true do
    local stop = rest:find("\n", from, true)
    if not stop then break end
    print_event(rest:sub(from, stop - 1))
    from = stop + 1
  end
  rest = rest:sub(from)
end

local parts = {}
local function collect(bytes)
  parts[#parts + 1] = bytes
end

local receive = kind == "stream" and scan or collect
local easy = curl.easy_init()
easy:setopt(curl.OPT_URL, url)
easy:setopt(curl.OPT_HTTPHEADER, { "Content-Type: application/json", "Authorization: Bearer k" })
easy:setopt(curl.OPT_POSTFIELDS, cjson.encode({
  model = "gpt-4o-mini",
  messages = { { role = "user", content = "hi" } },
  stream = kind == "stream",
}))
easy:setopt(curl.OPT_WRITEFUNCTION, function(bytes)
  receive(bytes)
  return #bytes
end)

local tokens = 0
for _ = 1, count do
  parts = {}
  assert(easy:perform())
  if kind == "calls" then tokens = tokens + cjson.decode(table.concat(parts)).usage.total_tokens end
end
if kind == "calls" then print(tokens) end
