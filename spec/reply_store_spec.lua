-- The file of the cache: whose it is, what is in it, what becomes of calls when it cannot be used;
-- and recorded replies of every dialect, from it and from memory.
local core = require "llm.core"
local environment = require "spec.support.environment"
local conformance = require "spec.support.conformance"
local llm = require "llm"
local playback = require "llm.playback"
local providers = require "llm.provider"
local settled = require "spec.support.settled"

local json = core.json

describe("the cache's file", function()
  local mock, clients, path, lines

  before_each(function()
    environment.set {}
    path = os.tmpname()
    os.remove(path)
    clients, lines = {}, {}
    mock = llm.mock { function() return "Nine and twenty answers: " .. mock.count end }
    llm.log.configure("warn", function(level, module, message)
      lines[#lines + 1] = ("%s %s %s"):format(level, module, message)
    end)
  end)

  after_each(function()
    environment.restore()
    llm.log.configure("warn")
    for _, client in ipairs(clients) do client:close() end
    mock:close()
    clients = nil
    assert.equal(0, settled())
  end)

  local function start(opts)
    opts = opts or {}
    opts.provider, opts.retry = opts.provider or mock.provider, false
    opts.cache = opts.cache or { file = path }
    clients[#clients + 1] = llm.client(opts)
    return clients[#clients]
  end

  local function change(...)
    local db = assert(core.sqlite.open(path))
    assert(db:run(...))
    return db
  end

  it("is of its owner alone, shared by clients, and has neither keys nor prompts", function()
    local provider = llm.extend(mock.provider, { auth = { bearer = true } })
    local function client_of()
      return start { provider = provider, api_key = "sk-CANARY-0123456789" }
    end
    assert(client_of():generate_text("CANARY prompt"))
    assert.is_true(client_of():generate_text("CANARY prompt").cached)
    assert.equal(384, core.system.mode(path)) -- 0600
    for _, suffix in ipairs { "", "-wal" } do
      local file = io.open(path .. suffix, "rb")
      local bytes = file and file:read("*a") or ""
      if file then file:close() end
      assert.is_nil(bytes:find("CANARY", 1, true))
      assert.is_nil(bytes:lower():find("authorization", 1, true))
    end
  end)

  it("is in the user's data folder where it is only said that there is one", function()
    environment.set { HOME = path }
    local client = start { cache = { file = true } }
    assert(client:generate_text("hi"))
    assert.equal(384, core.system.mode(path .. "/.local/share/llmrun/cache.db"))
    environment.set {}
    local _, refused = pcall(llm.policy.cache.new, { file = true })
    assert.matches("give file a path", refused.message)
  end)

  it("is asked by other processes", function()
    local program = os.getenv("LLMRUN") or "build/llmrun"
    if _VERSION ~= "Lua 5.4" or not core.system.mode(program) then
      print("the command is not there: a cache between processes is not tested")
      return
    end
    local port = mock.server:port()
    mock:close()
    local script = path .. ".lua"
    local file = assert(io.open(script, "w"))
    file:write(([[local llm = require "llm"
      local mock = llm.mock { port = %d, function() return "from " .. arg[1] end }
      local client = llm.client { provider = mock.provider, cache = { file = %q } }
      local response = assert(client:generate_text "hi")
      print(response.content, response.cached)]]):format(port, path))
    file:close()
    local function run(name)
      local pipe = assert(io.popen(("%s %s %s 2>&1"):format(program, script, name)))
      local text = pipe:read("*a")
      pipe:close()
      return text
    end
    assert.equal("from one\tnil\n", run "one")
    assert.equal("from one\ttrue\n", run "two")
    os.remove(script)
  end)

  it("harms no call when it is none, or cannot be made", function()
    local file = assert(io.open(path, "wb"))
    file:write(("this is no database "):rep(100))
    file:close()
    local client = start()
    for i = 1, 3 do assert.matches(i .. "$", client:generate_text("hi").content) end
    assert.equal(1, #lines)
    assert.matches("^warn cache replies are not kept: .*" .. path, lines[1])
    local other = start { cache = { file = "/dev/null/cache.db" } }
    assert(other:generate_text("hi"))
    assert.equal(2, #lines)
    assert.matches("/dev/null/cache.db", lines[2])
  end)

  it("harms no call when another process holds it", function()
    local client = start()
    assert(client:generate_text("one"))
    local db = change "BEGIN IMMEDIATE"
    local response = assert(client:generate_text("two"))
    assert.matches("2$", response.content)
    assert.is_true(client:generate_text("one").cached)
    assert.matches("locked", lines[1])
    assert(db:run "COMMIT")
    assert(client:generate_text("two"))
    assert.is_true(client:generate_text("two").cached)
    assert.equal(1, #lines)
  end)

  it("gives what is in it only when it is what was put there", function()
    local client = start()
    local bad = {
      "", "{", "[]", '{"status":200,"headers":{},"frames":[]}', '{"frames":[["end"]]}',
      '{"status":200,"headers":{},"frames":[["event",5],["end"]]}',
      '{"status":200,"headers":{},"frames":[["event","{}"]]}',
      '{"status":200,"headers":{"x-request-id":{}},"frames":[["end"]]}',
      '{"status":200,"headers":{},"frames":[["__gc","x"],["end"]]}',
      '{"status":200,"headers":[],"frames":["end"]}',
    }
    assert(client:generate_text("hi"))
    for i, text in ipairs(bad) do
      change("UPDATE replies SET reply = ?", text)
      local response = assert(client:generate_text("hi"))
      assert.is_nil(response.cached, text)
      assert.equal(1 + i, mock.count)
    end
    change("UPDATE replies SET reply = ?",
      '{"status":200,"headers":{},"frames":[["event","not JSON","body"],["end"]]}')
    local _, err = client:generate_text("hi")
    assert.equal("protocol", err.kind)
    assert(client:generate_text("hi", { cache = "refresh" }))
    assert.is_true(client:generate_text("hi").cached)
  end)
end)

local folders = {
  anthropic = "anthropic", azure_openai = "azure", bedrock = "bedrock", gemini = "google",
  ollama = "ollama", openai_chat = "openai", openai_responses = "openai_responses",
}

-- A policy by which a file answers instead of a server.
local function answer_from(bytes, fixture, asked)
  return function(request, next)
    local call = request.call
    call.http = { start = function(_, _, _, skimmer)
      asked.count = asked.count + 1
      fixture.headers["request-id"] = "r1"
      local transfer = playback.of_bytes(call.provider.dialect, fixture, { bytes }, skimmer)
      return transfer, transfer
    end }
    return next(request)
  end
end

-- All events of a call, adjacent texts as one, and what ended it.
local function events_of(client)
  local events = {}
  local ok, err = pcall(function()
    for event in client:stream_events("hi") do
      local last = events[#events]
      if event.type == "text" and last and last.type == "text" then
        last.text = last.text .. event.text
      else
        events[#events + 1] = event
      end
    end
  end)
  return events, not ok and err or nil
end

local same = { "content", "reasoning", "refusal", "tool_calls", "usage", "finish_reason",
  "finish_reason_raw", "model", "opaque", "logprobs", "request_id" }

describe("recorded replies", function()
  local paths = { os.tmpname() }

  teardown(function()
    environment.restore()
    for _, suffix in ipairs { "", "-wal", "-shm" } do os.remove(paths[1] .. suffix) end
  end)

  for folder, name in pairs(folders) do
    it("of " .. folder .. " come again as they came, or are not kept", function()
      environment.set { AWS_REGION = "us-east-1", AWS_BEARER_TOKEN_BEDROCK = "k",
        AZURE_OPENAI_ENDPOINT = "https://x.openai.azure.com" }
      local kept = 0
      local manifest = json.decode(conformance.read(folder .. "/manifest.json"))
      for _, fixture in ipairs(manifest.fixtures) do
        if fixture.kind ~= "request" then
          local bytes, asked = conformance.read(folder .. "/" .. fixture.file), { count = 0 }
          local client = llm.client { provider = providers.find(name), api_key = "k", retry = false,
            model = "m", metrics = false, cache = kept % 2 == 0 and { file = paths[1] } or true,
            policies = { answer_from(bytes, fixture, asked) }, extra = { file = fixture.file } }
          local first, err = events_of(client)
          local second, again = events_of(client)
          assert.same(first, second, fixture.file)
          assert.equal(err and err.kind, again and again.kind)
          local reason = first[#first] and first[#first].reason
          if not err and (reason == "stop" or reason == "tool_calls") then
            assert.equal(1, asked.count, fixture.file)
            local one, two = client:generate_text("ho"), client:generate_text("ho")
            assert.is_true(two.cached)
            for _, field in ipairs(same) do
              assert.same(one[field], two[field], fixture.file .. field)
            end
            kept = kept + 1
          else
            assert.equal(2, asked.count, fixture.file)
          end
          client:close()
        end
      end
      assert.is_true(kept >= 2)
      assert.equal(0, llm.live())
    end)
  end
end)
