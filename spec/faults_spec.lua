-- What goes wrong between a client and a provider, one row a fault: what the caller gets, how long
-- it takes and how often the server was asked. hardening: C06, T01-T10, T13, R01, R07.
local canary = require "spec.support.canary"
local core = require "llm.core"
local environment = require "spec.support.environment"
local faults = require "spec.support.faults"
local llm = require "llm"
local secret = require "llm.secret"

local clock = core.loop.clock

local LIMIT = 0.2 -- seconds of silence that the clients here bear
local SLACK = 1   -- seconds that a loaded, sanitized machine may take longer
local WAIT = 0.5  -- longest first wait of the retry policy

-- kind: of the error, none for success. text: of the answer or what came of it before the error;
-- starts: only its beginning. posts: requests that the server saw, 1. least: seconds that it takes.
-- billed: the error says that the request may have been billed.
local table_of_faults = {
  { "ok", text = "Hello, world" },
  { "ok-plain", text = "Hello, world" },
  { "json-for-stream", text = "Hello, world" },
  { "crlf", text = "Hello, world" },
  { "utf8-split", text = "h\195\169llo \228\189\160\229\165\189 \240\159\152\128" },
  { "big-event-2", text = ("a"):rep(2 * 1024 * 1024) },
  { "done-no-final-chunk", text = "Hello, world" },
  { "done-hold", text = "Hello, world", least = 0.24 },
  -- before anything came back
  { "refused", kind = "network", url = "http://127.0.0.1:1/v1", attempts = 2, posts = 0 },
  { "reset-after-send", kind = "network", billed = true },
  { "close-after-send", kind = "network", billed = true },
  { "stall-before-headers", kind = "timeout", least = LIMIT, billed = true },
  { "slow-headers", kind = "timeout", least = LIMIT, billed = true },
  { "stall-after-headers", kind = "timeout", least = LIMIT, billed = true },
  { "slow-bytes", kind = "timeout", least = LIMIT, billed = true },
  { "keepalive-only", kind = "timeout", least = LIMIT, billed = true },
  { "empty-deltas", kind = "timeout", least = LIMIT, billed = true },
  { "half-body-stall", kind = "timeout", least = LIMIT, billed = true },
  -- in the middle
  { "stall-after-first-event", kind = "timeout", text = "Hello", least = LIMIT },
  { "keepalive-after-first-event", kind = "timeout", text = "Hello", least = LIMIT },
  { "endless-text", kind = "timeout", starts = "HelloHello", deadline = 0.25, least = 0.25 },
  { "reset-after-first-event", kind = "truncated", text = "Hello" },
  { "no-terminal", kind = "truncated", text = "Hello, " },
  { "no-terminal-close", kind = "truncated", text = "Hello, " },
  { "cut-in-json-line", kind = "truncated", text = "Hello" },
  { "no-final-chunk", kind = "truncated", text = "Hello" },
  { "truncated-gzip", kind = "truncated", text = "Hello" },
  { "short-content-length", kind = "truncated", billed = true },
  { "error-mid", kind = "provider_unavailable", text = "Hello" },
  { "bad-json", kind = "protocol", text = "Hello" },
  -- not what was asked for
  { "html-200", kind = "protocol", says = "text/html" },
  { "empty-200", kind = "protocol", says = "application/json" },
  { "empty-stream", kind = "protocol", says = "empty" },
  { "braces-200", kind = "protocol" },
  { "status-204", kind = "protocol" },
  -- not HTTP
  { "garbage", kind = "protocol" },
  { "http09", kind = "protocol" },
  { "bad-chunk-size", kind = "protocol" },
  { "negative-content-length", kind = "protocol" },
  { "huge-content-length", kind = "protocol", says = "Content%-Length" },
  { "double-content-length", kind = "protocol", says = "Content%-Length" },
  { "length-and-chunked", kind = "protocol", says = "Transfer%-Encoding" },
  { "bad-encoding", kind = "protocol" },
  { "huge-header", kind = "protocol", says = "header" },
  { "many-headers", kind = "protocol", says = "headers" },
  { "endless-headers", kind = "protocol", says = "headers" },
  { "endless-103", kind = "protocol", says = "headers" },
  { "endless-body", kind = "protocol", says = "max_response_bytes" },
  { "endless-line", kind = "protocol", says = "max_response_bytes" },
  { "endless-events", kind = "protocol", starts = "HelloHello", says = "max_response_bytes" },
  { "gzip-bomb", kind = "protocol", says = "max_response_bytes" },
  -- what the provider says
  { "error-first", kind = "provider_unavailable", posts = 2 },
  { "error-200", kind = "provider_unavailable", posts = 2 },
  { "s401", kind = "authentication" },
  { "s400-context", kind = "context_length" },
  { "s404-model", kind = "model_not_found" },
  { "s429", kind = "rate_limit", posts = 2 },
  { "s429-then-ok", text = "Hello, world", posts = 2 },
  { "s429-long", kind = "rate_limit" },
  { "s429-quota", kind = "quota" },
  { "s500", kind = "provider_unavailable", posts = 2 },
  { "s503-then-ok", text = "Hello, world", posts = 2 },
  { "html-502", kind = "provider_unavailable", posts = 2, says = "text/html" },
}

-- What another model would do as well.
local own_fault = { truncated = true, protocol = true, invalid_request = true }

describe("faults", function()
  local server

  setup(function()
    server = faults.start()
    canary:listen()
  end)

  teardown(function()
    server.stop()
    llm.log.configure("warn")
  end)

  before_each(function() server.reset() end)
  after_each(function() assert.equal(0, llm.live()) end)

  -- With connections of its own: what an earlier row left open is not used again.
  local function client_of(fault, opts)
    local all = {
      provider = "openai", api_key = canary.key, base_url = server.url(fault), timeout = LIMIT,
      first_timeout = LIMIT, connect_timeout = 2, max_response_bytes = 4e6, max_connections = 100,
      model = "gpt-4o-mini", retry = { attempts = 2 },
    }
    for name, value in pairs(opts or {}) do all[name] = value end
    return llm.client(all)
  end

  -- Both ways of asking give text, response or nil, err or nil.
  local ways = {}

  function ways.stream(client)
    local pieces, stream = {}, nil
    local ok, err = pcall(function()
      local next_text, state = client:stream_text("Say hello")
      stream = state
      for text in next_text, state do pieces[#pieces + 1] = text end
    end)
    if not ok and not llm.error.is_error(err) then error(err, 0) end
    return table.concat(pieces), stream:response(), not ok and err or nil
  end

  function ways.plain(client)
    local response, err = client:generate_text("Say hello", { stream = false })
    local whole = response or err.partial
    return whole and whole.content or "", whole, err
  end

  local function check(row, way)
    local fault = row[1]
    local client = client_of(fault, { base_url = row.url, deadline = row.deadline })
    local posts = row.posts or 1
    local start = clock()
    local text, response, err = ways[way](client)
    local took = clock() - start
    canary:show(text, response, err)
    assert.equal(row.kind, err and err.kind, err and tostring(err))
    if row.starts then
      assert.equal(row.starts, text:sub(1, #row.starts))
    else
      assert.equal(row.text or "", text)
    end
    if err then
      assert.is_nil(tostring(err):find("\n"))
      if row.says then assert.matches(row.says, err.message) end
      if row.billed then assert.is_true(err.maybe_billed) end
      if text ~= "" then assert.equal(text, err.partial.content) end
    end
    assert.equal(row.attempts or posts, err and err.attempts or response.attempts)
    if not row.url then assert.equal(posts, server.count(fault)) end
    local attempts = row.attempts or posts
    assert.is_true(took >= (row.least or 0), took .. " s")
    assert.is_true(took < (row.least or 0) + SLACK + (attempts - 1) * WAIT, took .. " s")
    client:close()
  end

  for _, row in ipairs(table_of_faults) do
    for _, way in ipairs { "stream", "plain" } do
      it(row[1] .. ", " .. way, function() check(row, way) end)
    end
  end

  -- Another model answers what failed before its first content, and nothing else.
  local function check_fallback(row, way)
    environment.set { VLLM_BASE_URL = server.url("ok"), PATH = os.getenv("PATH") }
    local client = client_of(row[1], { base_url = row.url, deadline = row.deadline,
      fallback = "vllm/other" })
    local text, response, err = ways[way](client)
    environment.restore()
    canary:show(text, response, err)
    local was_shown = (row.text or row.starts or "") ~= ""
    local leads_on = row.kind and not was_shown and not own_fault[row.kind]
    local attempts = row.attempts or row.posts or 1
    if leads_on then
      assert.is_nil(err, tostring(err))
      assert.equal("Hello, world", text)
      assert.equal("vllm", response.provider)
      assert.equal(1, #response.tried)
      assert.equal(row.kind, response.tried[1].kind)
      assert.equal(attempts, response.tried[1].attempts)
    else
      assert.equal(row.kind, err and err.kind)
      assert.is_nil(response and response.tried)
    end
    if not row.url then assert.equal(row.posts or 1, server.count(row[1])) end
    if row[1] ~= "ok" then assert.equal(leads_on and 1 or 0, server.count("ok")) end
    client:close()
  end

  for _, row in ipairs(_VERSION == "Lua 5.4" and table_of_faults or {}) do
    for _, way in ipairs { "stream", "plain" } do
      it(row[1] .. ", " .. way .. ", with a fallback", function() check_fallback(row, way) end)
    end
  end

  -- The request may have left before the reset was seen, or not: both are right.
  it("reset at once", function()
    local client = client_of("reset", { base_url = "http://127.0.0.1:" ..
      server.reset_port .. "/v1" })
    local response, err = client:generate_text("Say hello")
    canary:show(response, err)
    assert.equal("network", err.kind)
    assert.is_true(err.maybe_billed or err.attempts == 2)
  end)

  it("asks again after a lost request only when told to", function()
    local client = client_of("reset-after-send-then-ok", { retry = { resend = true } })
    assert.equal("Hello, world", assert(client:generate_text("Say hello")).content)
    assert.equal(2, server.count("reset-after-send-then-ok"))
  end)

  it("does not go on reading when the loop over a stream is left", function()
    local client = client_of("endless-events")
    for text in client:stream_text("Say hello") do
      assert.equal("Hello", text:sub(1, 5))
      if #text > 0 then break end
    end
    collectgarbage() -- before Lua 5.4 nothing else closes what a loop leaves
    collectgarbage()
    assert.equal(0, llm.live())
    local deadline = clock() + 2
    while server.open("endless-events") > 0 do assert(clock() < deadline) end
  end)

  describe("connections", function()
    it("are used again", function()
      local client = client_of("ok")
      for _ = 1, 3 do assert(client:generate_text("Say hello")) end
      assert.equal(3, server.count("ok"))
      assert.equal(1, server.connections("ok"))
    end)

    -- Read to the end of the answer, closed a quarter of a second after its terminal event.
    it("that the server holds open after its answer are not", function()
      local client = client_of("done-hold")
      for _ = 1, 2 do assert(client:generate_text("Say hello")) end
      assert.equal(2, server.connections("done-hold"))
    end)

    -- A broken event is not among them: whether the rest of the reply had come by then is chance.
    local carried_by = { ["s400-context"] = 1, ["s429-long"] = 1, ["length-and-chunked"] = 2,
      ["double-content-length"] = 2 }
    for fault, connections in pairs(carried_by) do
      it("are " .. (connections == 1 and "" or "not ") .. "used again after " .. fault, function()
        local client = client_of(fault)
        for _ = 1, 2 do assert.is_nil((client:generate_text("Say hello"))) end
        assert.equal(connections, server.connections(fault))
      end)
    end

    -- T13: the server reads the request on a kept connection and closes without a byte.
    it("that died meanwhile cost one transparent resend", function()
      local client = client_of("keepalive-die")
      for _ = 1, 2 do
        local response = assert(client:generate_text("Say hello"))
        assert.equal(1, response.attempts)
      end
      assert.equal(3, server.count("keepalive-die"))
      assert.equal(2, server.connections("keepalive-die"))
    end)
  end)

  describe("the key", function()
    local function ask(opts)
      local response, err = llm.client(opts):generate_text("Say hello")
      canary:show(response, err)
      return response, err
    end

    -- C06: the provider says the key back, in every form.
    it("is masked in what a provider says", function()
      for _, encode in ipairs { tostring, secret.percent, core.base64.encode } do
        local mock = llm.mock { status = 401, message = "Wrong: " .. encode(canary.key) .. "." }
        local _, err = ask { provider = "openai", base_url = mock.base_url, api_key = canary.key }
        assert.equal("authentication", err.kind)
        assert.matches("redacted", err.message)
        mock:close()
      end
    end)

    it("is masked where it travels in the query", function()
      for _, fault in ipairs { "ok", "html-200", "s503", "reset-after-send" } do
        local provider = { api = 1, name = "query", dialect = "openai_chat",
          base_url = server.url(fault), auth = { query = "key" } }
        local _, err = ask { api_key = canary.key, retry = { attempts = 2 }, model = "m",
          provider = provider }
        assert.equal(fault ~= "ok", err ~= nil)
        assert.matches("key=sk%-canary%-7f3a%%2B9%%2Fx%%3D ", server.last(fault))
      end
    end)

    it("is masked in a dry run", function()
      local Client = require("llm.client").Client
      local shown
      Client.dry_run = function(command) shown = command end
      local _, err = ask { provider = "openai", base_url = server.url("ok"), api_key = canary.key }
      Client.dry_run = nil
      canary:show(shown)
      assert.equal("cancelled", err.kind)
      assert.matches("Authorization: Bearer %[redacted%]", shown)
      assert.equal(0, server.count("ok"))
    end)

    it("is refused in a header that it would break", function()
      for _, tail in ipairs { "\r\nX-Evil: 1", "\n", "\r", " " } do
        local _, err = ask { provider = "openai", base_url = server.url("ok"),
          api_key = canary.key .. tail }
        assert.equal("invalid_request", err.kind)
      end
      assert.equal(0, server.count("ok"))
    end)

    it("would be found in every form", function()
      for _, encode in ipairs { tostring, secret.percent, core.base64.encode } do
        local other = setmetatable({}, { __index = canary })
        other:show { field = { "text with " .. encode("Bearer " .. canary.key) } }
        assert.is_string(other:found())
      end
    end)

    -- The last one: everything above was shown to the canary.
    it("was nowhere in errors, logs, responses and dry runs", function()
      assert.is_true(#canary > 1000)
      assert.is_nil(canary:found())
    end)
  end)
end)
