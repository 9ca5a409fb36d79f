--- The fault server (tests/faults) as a child of the running spec.
-- It ends when its stdout is no longer read, so it cannot outlive the spec.
-- @usage
-- local server = require("spec.support.faults").start()
-- local client = llm.client{provider = "openai", base_url = server.url("html-200"), api_key = "k"}
-- assert.equal(1, server.count("html-200"))
-- server.stop()
local core = require "llm.core"

local faults = {}

-- What a sanitized test preloads is for the interpreter alone.
local function open(command)
  return assert(io.popen("unset LD_PRELOAD; " .. command, "r"))
end

local function output_of(command)
  local pipe = open(command)
  local text = pipe:read("*a")
  pipe:close()
  return text
end

local function program()
  local path = os.getenv("LLM_FAULTS")
    or output_of("ls -t build*/tests/faults/llm-faults 2>/dev/null"):match("[^\n]+")
  return assert(path, "build llm-faults first, or say in LLM_FAULTS where it is")
end

--- Start the server.
-- @treturn table port, reset_port (each connection is reset at once), other_port (another origin,
-- counted under the name "other") and functions:
-- url(fault): a base_url; count(fault): requests seen; connections(fault): connections that carried
-- them; open(fault): requests still being answered; last(fault): the last request as it came;
-- reset(): forget all that; stop()
function faults.start()
  local pipe = open("exec '" .. program() .. "'")
  local server = {}
  for _ = 1, 3 do
    local name, port = assert(pipe:read("*l"), "llm-faults did not start"):match("^(%S+) (%d+)$")
    server[(name:gsub("-", "_"))] = tonumber(port)
  end
  local origin = "http://127.0.0.1:" .. server.port .. "/"

  local loop = assert(core.loop.new())
  local client = assert(core.http.new(loop, {}))

  local function ask(what, fault)
    local transfer = assert(client:start({ method = "GET", deadline = 5,
      url = origin .. "-/" .. what .. "/" .. (fault or "") }))
    local text, kind, data = "", transfer:next()
    while kind ~= "end" do
      assert(kind ~= "error", data)
      if kind then text = data else loop:step(1) end
      kind, data = transfer:next()
    end
    transfer:close()
    return text
  end

  function server.url(fault)
    return origin .. fault .. "/v1"
  end
  for _, what in ipairs({ "count", "connections", "open" }) do
    server[what] = function(fault)
      return assert(tonumber(ask(what, fault)))
    end
  end
  function server.last(fault)
    return ask("last", fault)
  end
  function server.reset()
    ask("reset")
  end
  function server.stop()
    pipe:close()
  end
  return server
end

return faults
