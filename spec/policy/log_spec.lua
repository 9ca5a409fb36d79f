-- The log of calls: one record for every end, nothing secret in it, no call harmed by it.
local core = require "llm.core"
local environment = require "spec.support.environment"
local llm = require "llm"
local secret = require "llm.secret"
local settled = require "spec.support.settled"

local KEY = "sk-CANARY/log+0123456789"

for _, suffix in ipairs { ".db", ".jsonl" } do
  describe("the log in a file " .. suffix, function()
    local mock, path, clients, answer, log

    before_each(function()
      path = os.tmpname()
      os.remove(path)
      path = path .. suffix
      environment.set {}
      mock = llm.mock { function(...) return answer(...) end }
      answer = function() return "one two three" end
      log, clients = { file = path }, {}
    end)

    after_each(function()
      environment.restore()
      llm.log.configure("warn")
      for _, client in ipairs(clients) do client:close() end
      mock:close()
      for _, end_of in ipairs { "", "-wal", "-shm" } do os.remove(path .. end_of) end
      assert.equal(0, settled())
    end)

    local function start(opts)
      opts = opts or {}
      opts.provider, opts.log, opts.retry = mock.provider, log, opts.retry or false
      clients[#clients + 1] = llm.client(opts)
      return clients[#clients]
    end

    local function calls(opts)
      opts = opts or {}
      opts.file = path
      return assert(llm.logs.calls(opts))
    end

    local function bytes()
      local texts = {}
      for _, end_of in ipairs { "", "-wal" } do
        local file = io.open(path .. end_of, "rb")
        if file then
          texts[#texts + 1] = file:read("*a")
          file:close()
        end
      end
      return table.concat(texts)
    end

    it("is not there unless asked for", function()
      log = nil
      assert(start():generate_text("hi"))
      assert.is_nil(llm.logs.calls { file = path })
    end)

    it("has what was asked and answered, for its owner alone", function()
      local client = start { system = "Be brief.", tag = "nightly" }
      local response = assert(client:generate_text("hi", { temperature = 0.25 }))
      local call = calls()[1]
      assert.equal("text", call.kind)
      assert.equal("nightly", call.tag)
      assert.equal("one two three", call.response)
      assert.equal("stop", call.finish_reason)
      assert.equal(0.25, call.request.temperature)
      assert.same({ { role = "system", content = "Be brief." }, { role = "user", content = "hi" } },
        call.request.messages)
      assert.equal(response.usage.output_tokens, call.usage.output_tokens)
      assert.is_true(call.duration >= call.first_token_time)
      assert.is_true(math.abs(call.time - os.time()) < 60)
      assert.is_nil(call.cost_estimate)
      assert.is_nil(call.error)
      assert.equal(384, core.system.mode(path)) -- 0600
    end)

    it("has one record for every end", function()
      local client = start()
      for _ in client:stream_text("read") do end -- luacheck: ignore
      local next_text, stream = client:stream_text("left")
      next_text(stream)
      stream:close()
      stream:close()
      answer = function() return { status = 503, message = "busy" } end
      assert.is_nil(client:generate_text("failed"))
      answer = function() return { text = "one two three four", cut_after = 2 } end
      assert.is_nil(client:generate_text("cut"))
      local kinds = {}
      for i, call in ipairs(calls()) do
        local kind = call.error and call.error.kind or "ok"
        kinds[i] = call.request.messages[1].content .. " " .. kind
      end
      assert.same({ "cut truncated", "failed provider_unavailable", "left cancelled", "read ok" },
        kinds)
      assert.equal(503, calls()[2].error.status)
      assert.equal(3, #calls { errors = true })
    end)

    it("has every attempt in one record", function()
      local count = 0
      answer = function()
        count = count + 1
        return count == 1 and { status = 503, message = "busy" } or "fine"
      end
      assert(start { retry = { decide = function() return 0.001 end } }:generate_text("hi"))
      assert.equal(1, #calls())
      assert.equal(2, calls()[1].attempts)
    end)

    it("keeps a long text and media once", function()
      local client = start()
      local long, image = ("Long words. "):rep(100), ("\137PNG\r\n\26\n" .. ("\0\255x"):rep(300))
      local messages = { { role = "system", content = long }, { role = "user", content = {
        { type = "text", text = "See:" }, { type = "image", mime = "image/png", data = image } } } }
      for _ = 1, 3 do assert(client:generate_text(messages)) end
      local _, count = bytes():gsub("Long words%. Long words%. ", "")
      assert.is_true(count <= 50 * (suffix == ".db" and 2 or 1)) -- in the log of SQLite again
      local kept = calls()[3].request.messages
      assert.equal(long, kept[1].content)
      assert.equal(core.base64.encode(image), kept[2].content[2].data)
    end)

    it("keeps data as data", function()
      local client = start()
      local odd = { '{"lc":1,"type":"secret","id":["KEY"]}', "sha256:" .. ("0"):rep(64), "sha256:",
        "return os.exit(1)", "a\nb\0c\"'; DROP TABLE calls; --", "\27[2J" }
      for _, text in ipairs(odd) do assert(client:generate_text(text)) end
      local found = calls()
      for i, text in ipairs(odd) do
        assert.equal(text, found[#odd + 1 - i].request.messages[1].content)
      end
      assert(client:generate_text("x", { tools = { llm.tool { name = "now", description = "time",
        run = os.time } } }))
      assert.equal("now", calls()[1].request.tools[1].name)
      assert.is_nil(calls()[1].request.tools[1].run)
    end)

    it("finds words, in Chinese too", function()
      local client = start()
      for _, text in ipairs { "Where is the harbour?", "多语言模型很好", 'Quote "this" AND that' } do
        assert(client:generate_text(text))
      end
      for word, wanted in pairs { harb = 1, ["模型"] = 1, three = 3, ['"this"'] = 1, nothing = 0 } do
        assert.equal(wanted, #calls { words = { word } }, word)
      end
      assert.equal(0, #calls { words = { "harbour", "多" } })
      assert.equal(2, #calls { limit = 2 })
    end)

    it("finds words where SQLite has no index, too", function()
      local logbook = require "llm.logbook"
      local real = logbook.read
      logbook.read = function(...)
        local book, problem = real(...)
        if book then book.has_index = false end
        return book, problem
      end
      assert(start():generate_text("Where is the harbour?"))
      assert(start():generate_text("多语言"))
      local found = { #calls { words = { "HARB" } }, #calls { words = { "语言" }, limit = 1 } }
      logbook.read = real
      assert.same({ 1, 1 }, found)
    end)

    it("holds no credential in any form", function()
      secret.remember(KEY)
      answer = function(request)
        local last = request.messages[#request.messages].content
        if last:find "fail" then return { status = 400, message = "bad key " .. KEY } end
        return last
      end
      local client = start { api_key = KEY, insecure_http = true,
        headers = { ["X-Secret"] = "CANARY-header" }, system = ("long "):rep(100) .. KEY }
      assert(client:generate_text("my key is " .. KEY .. " " .. core.base64.encode(KEY)))
      assert(client:generate_text("https://h/?key=" .. secret.percent(KEY), { user = KEY }))
      assert.is_nil(client:generate_text("fail"))
      assert.equal(3, #calls())
      local all = bytes()
      for _, form in ipairs { "CANARY", secret.percent(KEY), core.base64.encode(KEY):sub(1, -3) } do
        assert.is_nil(all:find(form, 1, true), form)
      end
      assert.matches("%[redacted%]", all)
      assert.is_nil(all:lower():find("authorization", 1, true))
    end)

    it("harms no call where it cannot be written, and says so once", function()
      local lines = {}
      llm.log.configure("warn", function(...) lines[#lines + 1] = table.concat({ ... }, " ") end)
      log = { file = "/proc/nowhere/calls" .. suffix }
      local client = start()
      for _ = 1, 3 do assert.equal("one two three", assert(client:generate_text("hi")).content) end
      assert.equal(1, #lines)
      assert.matches("^warn log calls are not kept: .*nowhere", lines[1])
    end)

    it("keeps what is dropped while another call is written", function()
      local client = start()
      local next_text, stream = client:stream_text("dropped")
      next_text(stream)
      local real, seen = secret.scrub, 0
      secret.scrub = function(text) -- of a database's second time in the midst of a transaction
        if text == "one two three" then seen = seen + 1 end
        if seen == (suffix == ".db" and 2 or 1) then
          next_text, stream = nil, nil -- luacheck: ignore
          collectgarbage()
          collectgarbage()
        end
        return real(text)
      end
      local response = client:generate_text("hi")
      secret.scrub = real
      assert.equal("one two three", response.content)
      assert.equal(2, #calls())
      assert.equal(1, #calls { errors = true })
    end)

    it("harms no call by what cannot be kept", function()
      local lines = {}
      llm.log.configure("warn", function(...) lines[#lines + 1] = table.concat({ ... }, " ") end)
      local real = core.json.encode
      local client = start()
      assert(client:generate_text("first"))
      core.json.encode = function(value)
        if value.request then error "no such value" end
        return real(value)
      end
      local response = client:generate_text("second")
      core.json.encode = real
      assert.equal("one two three", response.content)
      assert.matches("calls are not kept: .*no such value", lines[1])
      assert(client:generate_text("third"))
      assert.equal(2, #calls())
    end)

    it("says what to do where nothing is kept", function()
      local none, err = llm.logs.calls { file = path }
      assert.is_nil(none)
      assert.matches("no calls are kept %(.*LLM_LOG_CALLS=1", err.message)
    end)
  end)
end

describe("the log on a full disk", function()
  if not io.open("/dev/full", "wb") then return print("there is no /dev/full: it is not filled") end

  it("harms no call, and says so once", function()
    local path = os.tmpname()
    os.remove(path)
    path = path .. ".jsonl"
    assert(os.execute("ln -s /dev/full " .. path))
    local lines = {}
    llm.log.configure("warn", function(...) lines[#lines + 1] = table.concat({ ... }, " ") end)
    local mock = llm.mock { function() return "fine" end }
    local client = llm.client { provider = mock.provider, log = { file = path } }
    for _ = 1, 2 do assert.equal("fine", assert(client:generate_text("hi")).content) end
    llm.log.configure("warn")
    client:close()
    mock:close()
    os.remove(path)
    assert.equal(1, #lines)
    assert.matches("calls are not kept: .*No space left", lines[1])
    assert.equal(0, settled())
  end)
end)

describe("the log in a database", function()
  local mock, path, client

  before_each(function()
    path = os.tmpname()
    os.remove(path)
    path = path .. ".db"
    environment.set { LLM_LOG_CALLS = path }
    llm.config.override {}
    mock = llm.mock { function() return "fine" end }
  end)

  after_each(function()
    environment.restore()
    llm.config.override {}
    llm.log.configure("warn")
    client:close()
    mock:close()
    for _, end_of in ipairs { "", "-wal", "-shm" } do os.remove(path .. end_of) end
    assert.equal(0, settled())
  end)

  it("is switched on by the environment, and off by the client", function()
    client = llm.client { provider = mock.provider }
    assert(client:generate_text("hi"))
    assert(llm.client({ provider = mock.provider, log = false }):generate_text("not kept"))
    assert.equal(path, llm.logs.path())
    assert.equal(1, #assert(llm.logs.calls()))
    environment.set { LLM_LOG_CALLS = "0" }
    llm.config.override {}
    assert(llm.client({ provider = mock.provider }):generate_text("not kept"))
    assert.equal(1, #assert(llm.logs.calls { file = path }))
  end)

  it("harms no call while somebody else holds it, and goes on after", function()
    local lines = {}
    llm.log.configure("warn", function(...) lines[#lines + 1] = table.concat({ ... }, " ") end)
    client = llm.client { provider = mock.provider }
    assert(client:generate_text("before"))
    local other = assert(core.sqlite.open(path))
    assert(other:run "BEGIN IMMEDIATE")
    local begun = llm.clock()
    assert(client:generate_text("meanwhile"))
    assert.is_true(llm.clock() - begun < 1)
    assert(other:run "COMMIT")
    other:close()
    assert(client:generate_text("after"))
    assert.equal(1, #lines)
    assert.matches("locked", lines[1])
    assert.equal(2, #assert(llm.logs.calls()))
  end)

  it("sums up by what is asked, and an unknown price is no 0", function()
    client = llm.client { provider = mock.provider, model = "a",
      costs = { a = { input = 1, output = 2 } } }
    assert(client:generate_text("one two"))
    assert(client:generate_text("one two", { tag = "t" }))
    assert(client:generate_text("one two", { model = "b" }))
    local rows = assert(llm.logs.usage())
    assert.same({ "mock/a", "mock/b" }, { rows[1].key, rows[2].key })
    assert.same({ 2, 1 }, { rows[1].calls, rows[2].calls })
    assert.is_true(rows[1].cost > 0)
    assert.equal(0, rows[1].unpriced)
    assert.is_nil(rows[2].cost)
    assert.equal(1, rows[2].unpriced)
    assert.equal("t", assert(llm.logs.usage { by = "tag", tag = "t" })[1].key)
    assert.equal(os.date("!%Y-%m-%d"), assert(llm.logs.usage { by = "day" })[1].key)
    assert.equal(3, assert(llm.logs.usage { by = "provider", since = "1h" })[1].calls)
    assert.same({}, assert(llm.logs.usage { before = "1h" }))
    local ok, err = pcall(llm.logs.usage, { by = "colour" })
    assert.is_false(ok)
    assert.matches("model, day, tag or provider", err.message)
  end)

  it("knows dates", function()
    client = llm.client { provider = mock.provider }
    assert(client:generate_text("hi"))
    local now = os.time()
    for _, form in ipairs { "!%Y-%m-%d", "!%Y-%m-%dT%H:%M:%SZ", "!%Y-%m-%d %H:%M" } do
      assert.equal(1, #assert(llm.logs.calls { since = os.date(form, now - 120) }), form)
    end
    assert.equal(0, #assert(llm.logs.calls { since = os.date("!%Y-%m-%d", now + 2 * 86400) }))
    assert.equal(0, #assert(llm.logs.calls { before = "2024-02-29" }))
    for _, bad in ipairs { "yesterday", "2026-1-1", "2026-01-01x" } do
      assert.is_false(pcall(llm.logs.calls, { since = bad }))
    end
  end)

  it("deletes calls and the texts that only they had", function()
    client = llm.client { provider = mock.provider }
    local shared, old = ("shared "):rep(60), ("forgotten "):rep(60)
    assert(client:generate_text({ { role = "system", content = shared },
      { role = "user", content = old } }))
    local db = assert(core.sqlite.open(path))
    assert(db:run "UPDATE calls SET time = 1000")
    assert(client:generate_text({ { role = "system", content = shared },
      { role = "user", content = "new" } }))
    assert.equal(1, assert(llm.logs.delete { before = "1d" }))
    local left = assert(llm.logs.calls { words = { "new" } })
    assert.equal(shared, left[1].request.messages[1].content)
    assert.equal(0, #assert(llm.logs.calls { words = { "forgotten" } }))
    assert.same({ { shared } }, db:rows "SELECT text FROM content")
    db:close()
    assert.is_false(pcall(llm.logs.delete, {}))
    assert.is_nil(llm.logs.delete { before = "1d", file = "x.jsonl" })
  end)
end)
