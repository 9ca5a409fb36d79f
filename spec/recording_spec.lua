-- Recording and replaying: what was asked once is answered again without a network, as it came.
local core = require "llm.core"
local llm = require "llm"
local canary = require "spec.support.canary"

describe("llm.record", function()
  local mock, path

  before_each(function()
    path = os.tmpname()
    mock = llm.mock { function(request)
      return { text = "You said: " .. request.messages[#request.messages].content,
        usage = { input_tokens = 5, output_tokens = 4 } }
    end }
  end)

  after_each(function()
    mock:close()
    os.remove(path)
    for _ = 1, 20 do -- the mock's last pause runs out
      if llm.live() == 0 then break end
      llm.sleep(0.002)
    end
    assert.equal(0, llm.live())
  end)

  local function client_of(mode, opts)
    opts = opts or {}
    opts.provider = opts.provider or mock.provider
    opts.policies = { llm.record { file = path, mode = mode, timing = opts.timing } }
    opts.timing = nil
    return llm.client(opts)
  end

  local function contents()
    local file = assert(io.open(path, "rb"))
    local text = file:read("*a")
    file:close()
    return text
  end

  local function texts_of(client, question)
    local list = {}
    for text in client:stream_text(question) do list[#list + 1] = text end
    return list
  end

  it("plays back what was asked, with the server gone", function()
    local recorder = client_of "record"
    local first = assert(recorder:generate_text("one"))
    local plain = assert(recorder:generate_text("two", { stream = false }))
    local pieces = texts_of(recorder, "three words here")
    assert.is_true(#pieces > 1)
    recorder:close()
    mock:close()
    local count = mock.count

    local player = client_of "replay"
    player.transport.http = { start = function() error("a transfer was started") end }
    local again = assert(player:generate_text("one"))
    assert.equal(first.content, again.content)
    assert.same(first.usage, again.usage)
    assert.equal(plain.content, assert(player:generate_text("two", { stream = false })).content)
    assert.same(pieces, texts_of(player, "three words here"))
    assert.equal(0, llm.live())
    assert.equal(count, mock.count)
    player:close()
  end)

  it("is whole lines of JSON that the owner alone may read", function()
    local recorder = client_of "record"
    assert(recorder:generate_text("one"))
    recorder:close()
    assert.equal(384, core.system.mode(path)) -- 0600
    local text = contents()
    assert.equal("\n", text:sub(-1))
    local take = assert(llm.json.decode(text))
    assert.equal("mock", take.request.provider)
    assert.equal("/v1/chat/completions", take.request.path)
    assert.equal("one", take.request.body.messages[1].content)
    assert.equal(200, take.status)
    assert.equal("end", take.frames[#take.frames][2])
  end)

  it("plays the takes of one request in their order, the last one again", function()
    local recorder = client_of "record"
    mock.handler = function() return "answer " .. mock.count end
    for _ = 1, 2 do assert(recorder:generate_text("same")) end
    recorder:close()
    local player = client_of "replay"
    for _, wanted in ipairs { "answer 1", "answer 2", "answer 2" } do
      assert.equal(wanted, assert(player:generate_text("same")).content)
    end
    player:close()
  end)

  it("says what differs from the nearest request when there is none", function()
    local recorder = client_of "record"
    assert(recorder:generate_text("What is the capital of Portugal?", { temperature = 0.2 }))
    assert(recorder:generate_text("Something else", { temperature = 1, max_tokens = 5 }))
    recorder:close()
    local player = client_of "replay"
    local response, err = player:generate_text("What is the capital of Spain?",
      { temperature = 0.2 })
    assert.is_nil(response)
    assert.equal("invalid_request", err.kind)
    assert.matches("line 1, differs in 1 place: body.messages%[1%].content", err.message)
    assert.matches("recorded .*Portugal.*asked .*Spain", err.message)
    err = select(2, player:generate_text("Something else", { temperature = 1, max_tokens = 6 }))
    assert.matches("line 2, .*body.max_tokens: recorded 5, asked 6", err.message)
    assert.equal(1, #err.differences)
    player:close()
  end)

  it("plays errors and streams that were cut", function()
    local recorder = client_of("record", { retry = false })
    mock.handler = function() return { status = 429, message = "slow down" } end
    local _, limited = recorder:generate_text("one")
    mock.handler = function() return { pieces = { "a", "b", "c" }, cut_after = 3 } end
    local _, cut = recorder:generate_text("two")
    recorder:close()
    local player = client_of("replay", { retry = false })
    local _, err = player:generate_text("one")
    assert.equal(limited.kind, err.kind)
    assert.equal(limited.status, err.status)
    _, err = player:generate_text("two")
    assert.equal(cut.kind, err.kind)
    assert.equal(cut.partial.content, err.partial.content)
    player:close()
  end)

  it("keeps what came until the listener left", function()
    local recorder = client_of "record"
    mock.handler = function() return { pieces = { "a", "b", "c" }, pace = 0.01 } end
    local texts, stream = recorder:stream_text("one")
    assert.equal("a", texts(stream))
    stream:close()
    recorder:close()
    local player = client_of "replay"
    texts, stream = player:stream_text("one")
    assert.equal("a", texts(stream))
    stream:close()
    local _, err = player:generate_text("one")
    assert.equal("truncated", err.kind)
    player:close()
  end)

  it("takes its time when it is told to", function()
    local recorder = client_of "record"
    mock.handler = function() return { pieces = { "a", "b", "c" }, pace = 0.01 } end
    assert(recorder:generate_text("one"))
    recorder:close()
    local function seconds(timing)
      local player = client_of("replay", { timing = timing })
      local response = assert(player:generate_text("one"))
      player:close()
      return response.response_time
    end
    assert.is_true(seconds(true) >= 0.03)
    assert.is_true(seconds(false) < seconds(true))
  end)

  it("adds what is missing in mode auto", function()
    local first = client_of "auto"
    assert(first:generate_text("one"))
    first:close()
    local second = client_of "auto"
    assert(second:generate_text("one"))
    assert(second:generate_text("two"))
    second:close()
    assert.equal(2, mock.count)
    mock:close()
    local player = client_of "replay"
    assert(player:generate_text("one"))
    assert(player:generate_text("two"))
    player:close()
  end)

  it("records each attempt of a retry once", function()
    local attempts = 0
    mock.handler = function()
      attempts = attempts + 1
      if attempts == 1 then return { status = 503, headers = { ["retry-after-ms"] = 1 } } end
      return "at last"
    end
    local recorder = client_of "record"
    assert.equal("at last", assert(recorder:generate_text("one")).content)
    recorder:close()
    local _, lines = contents():gsub("\n", "")
    assert.equal(2, lines)
  end)

  it("holds no secret, wherever it came back", function()
    mock.handler = function(request)
      return { text = "the key is " .. canary.key .. " " .. request.messages[1].content }
    end
    local recorder = client_of("record", { api_key = canary.key,
      provider = llm.extend(mock.provider, { auth = { query = "key" } }) })
    local response = assert(recorder:generate_text("my key: " .. canary.key, { stream = false }))
    assert.matches("canary", response.content)
    mock.handler = function() return { status = 401, message = "wrong key " .. canary.key } end
    recorder:generate_text("again")
    recorder:close()
    canary:show(contents())
    assert.is_nil(canary:found())
    assert.is_nil(contents():find("key=", 1, true))
    local player = client_of "replay"
    assert(player:generate_text("my key: " .. canary.key, { stream = false }))
    player:close()
  end)

  it("needs no key to play", function()
    local recorder = client_of "record"
    assert(recorder:generate_text("one"))
    recorder:close()
    local provider = llm.extend(mock.provider, { base_url = "https://api.invalid/v1",
      key_env = "NO_SUCH_KEY_OF_OURS", auth = { bearer = true } })
    assert.is_false((pcall(llm.client, { provider = provider })))
    local player = client_of("replay", { provider = provider })
    assert.equal("You said: one", assert(player:generate_text("one")).content)
    player:close()
  end)

  it("says what is wrong with a file or an option", function()
    local function problem(opts)
      local ok, err = pcall(llm.record, opts)
      assert.is_false(ok)
      assert.equal("invalid_request", err.kind)
      return err.message
    end
    assert.matches("file is missing", problem {})
    assert.matches("mode must be", problem { file = path, mode = "reply" })
    assert.matches("did you mean \"file\"", problem { fiel = path })
    assert.matches("/nowhere/x", problem { file = "/nowhere/x", mode = "replay" })
    assert.matches("/nowhere/x", problem { file = "/nowhere/x", mode = "record" })
    local file = assert(io.open(path, "w"))
    file:write("not json\n")
    file:close()
    assert.matches(":1 is no recorded exchange", problem { file = path, mode = "replay" })
  end)
end)

local program = os.getenv "LLMRUN"

describe("llmrun --record and --replay", function()
  if not program then return print "LLMRUN is not set: --record and --replay are not tested" end

  it("answers the second time without asking anybody", function()
    local path = os.tmpname()
    local function run(option, prompt)
      local pipe = assert(io.popen(("env -i %s %s %s -p %q </dev/null 2>&1"):format(
        program, option, path, prompt)))
      local text = pipe:read("*a")
      pipe:close()
      return text
    end
    assert.matches("a built%-in mock answers.*\nHello there\n$", run("--record", "Hello there"))
    assert.equal("Hello there\n", run("--replay", "Hello there"))
    assert.matches("asked \"Hello where\"", run("--replay", "Hello where"))
    os.remove(path)
  end)
end)
