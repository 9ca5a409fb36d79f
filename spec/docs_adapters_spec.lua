-- docs/adapters.md as its reader meets it: the files in it are written out and run, against a real
-- server on loopback.
local core = require "llm.core"
local llm = require "llm"
local task = require "llm.task"

local json = core.json

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

local manual = read "docs/adapters.md"

-- name -> text of the blocks of that name, in their order
local function files_of(text)
  local files, names = {}, {}
  for name, body in text:gmatch("\n```%l+ (%S+)\n(.-\n)```") do
    if not files[name] then names[#names + 1] = name end
    files[name] = (files[name] and files[name] .. "\n" or "") .. body
  end
  return files, names
end

-- The Parrot API: answers with the fixtures, remembers what it was asked.
local function parrot(files)
  local server = assert(core.server.listen(task.loop(), {}))
  local seen = { url = "http://127.0.0.1:" .. server:port() .. "/v2" }
  local function answer(request)
    local asked = json.decode(request:body())
    seen[#seen + 1] = { path = request:path(), key = request:header("x-parrot-key"), body = asked }
    if asked.model == "tired" then
      return 429, "application/json", files["fixtures/error_429.json"]
    elseif asked.live then
      return 200, "text/event-stream", files["fixtures/stream.sse"]
    end
    return 200, "application/json", files["fixtures/plain.json"]
  end
  local serving = task.spawn(function()
    while true do
      local request = server:accept()
      if request then
        local status, kind, body = answer(request)
        request:respond(status, { ["Content-Type"] = kind }, body)
        request:close()
      else
        task.wait(server:id())
      end
    end
  end)
  function seen.close()
    serving:cancel()
    server:close()
  end
  return seen
end

describe("docs/adapters.md", function()
  local files, names = files_of(manual)
  local folder, server, client

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(core.system.mkdir(folder))
    assert(core.system.mkdir(folder .. "/fixtures"))
    for name, text in pairs(files) do
      local file = assert(io.open(folder .. "/" .. name, "wb"))
      file:write(text)
      file:close()
    end
    server = parrot(files)
    client = llm.client { model = folder .. "/parrot.lua/parrot-2", base_url = server.url,
      api_key = "polly-key", retry = false }
  end)

  teardown(function()
    client:close()
    server.close()
    for name in pairs(files) do os.remove(folder .. "/" .. name) end
    os.remove(folder .. "/fixtures")
    os.remove(folder)
    assert.equal(0, llm.live())
  end)

  it("has its files", function() assert.equal(8, #names) end)

  it("builds an adapter that asks as the API wants it", function()
    local tools = { { name = "clock", description = "Time", parameters = { type = "object" } } }
    assert(client:generate_text({
      { role = "system", content = "Be brief." }, { role = "user", content = "Hello?" },
      { role = "assistant", content = "", tool_calls = {
        { id = "w0", name = "clock", arguments = "{}" } } },
      { role = "tool", tool_call_id = "w0", content = "noon" },
    }, { max_tokens = 100, temperature = 0.5, tools = tools, stop = "END" }))
    local asked = server[#server]
    assert.equal("/v2/answers", asked.path)
    assert.equal("polly-key", asked.key)
    assert.same({
      model = "parrot-2", live = true, rules = "Be brief.", limit = 100, mood = 0.5,
      hush_at = "END", tools = { { tool = "clock", about = "Time", form = { type = "object" } } },
      turns = { { who = "user", say = "Hello?" },
        { who = "parrot", say = "", wishes = { { id = "w0", tool = "clock", with = "{}" } } },
        { who = "clockwork", say = "noon", reply_to = "w0" } },
    }, asked.body)
  end)

  it("builds an adapter that reads streams and bodies", function()
    for _, stream in ipairs { true, false } do
      local response = assert(client:generate_text("Hi", { stream = stream }))
      assert.equal(stream, server[#server].body.live)
      assert.equal("Let me look.", response.content)
      assert.same({ { id = "w1", name = "clock", arguments = '{"city":"Porto"}' } },
        response.tool_calls)
      assert.equal("tool_calls", response.finish_reason)
      assert.equal(21, response.tokens_used)
      assert.equal("parrot", response.provider)
    end
  end)

  it("builds an adapter whose errors are understood", function()
    local _, err = client:generate_text("Hi", { model = folder .. "/parrot.lua/tired" })
    assert.equal("rate_limit", err.kind)
    assert.matches("Polly is tired", err.message)
    _, err = client:generate_text("Hi", { seed = 7 })
    assert.equal("invalid_request", err.kind)
    assert.matches("seed", err.message)
    llm.log.configure("error")
    assert(client:generate_text("Hi", { seed = 7, unsupported = "drop" }))
    llm.log.configure("warn")
  end)

  it("says what adapter-test prints", function()
    local lines = {}
    local passed, failed = llm.conformance.run(folder .. "/parrot.lua", folder .. "/fixtures",
      function(line) lines[#lines + 1] = line end)
    assert.same({}, lines)
    assert.is_truthy(manual:find(("\n%d passed, %d failed\n"):format(passed, failed), 1, true),
      passed .. " passed")
  end)

  it("tests a look-alike with the mock", function()
    local text = files["mine_test.lua"]:gsub("%./mine%.lua", folder .. "/mine.lua")
    assert((loadstring or load)(text, "=mine_test.lua"))() -- luacheck: ignore
  end)

  it("quotes the errors of the contract", function()
    local wrong = { ["api = 2"] = { api = 2 }, ["base_ulr"] = { base_ulr = "x" },
      ["no `base_url`"] = { base_url = false }, ["name = 1"] = { name = 1 },
      ["no `decode_event`"] = { decode_event = false }, ['frame = "xml"'] = { frame = "xml" },
      ['dialect = "parrot"'] = { dialect = "parrot" },
      ["bearrer = true"] = { auth = { bearrer = true } } }
    local rows = 0
    local table_of_errors = manual:match("### When the contract is broken(.*)$")
    for what, message in table_of_errors:gmatch("\n| (.-) | `(.-)` |") do
      for mark, change in pairs(wrong) do
        if what:find(mark, 1, true) then
          local fields = assert(loadfile(folder .. "/parrot.lua"))()
          for name, value in pairs(change) do fields[name] = value or nil end
          local ok, err = pcall(llm.provider, fields)
          assert.is_false(ok)
          assert.is_truthy(err.message:find(message, 1, true), err.message)
          rows = rows + 1
        end
      end
    end
    assert.equal(8, rows)
  end)
end)
