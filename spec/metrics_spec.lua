-- Metrics, health and alerts: what operators read, against the mock.
local environment = require "spec.support.environment"
local histogram = require("llm.core").histogram
local llm = require "llm"
local metrics = require "llm.policy.metrics"
local settled = require "spec.support.settled"

describe("llm.core.histogram", function()
  it("tells percentiles to 1 % and the exact ends", function()
    local h = histogram.new()
    for i = 1, 1000 do h:add(i / 1000) end
    local summary = h:summary()
    assert.equal(1000, summary.count)
    assert.near(0.5005, summary.mean, 1e-9)
    assert.near(0.5, summary.p50, 0.01)
    assert.near(0.9, summary.p90, 0.018)
    assert.near(0.99, summary.p99, 0.02)
    assert.equal(0.001, summary.min)
    assert.equal(1, summary.max)
  end)

  it("passes over what is no quantity", function()
    local h = histogram.new()
    h:add(0 / 0)
    h:add(-1)
    assert.is_nil(h:summary())
    h:add(0)
    h:add(math.huge)
    assert.equal(2, h:summary().count)
    assert.equal(0, h:percentile(0.5))
    assert.equal(math.huge, h:percentile(1))
  end)

  it("merges, and counts up to bounds", function()
    local a, b = histogram.new(), histogram.new()
    for _ = 1, 3 do a:add(0.5) end
    for _ = 1, 2 do b:add(5) end
    a:merge(b)
    assert.equal(0, a:up_to(0.1))
    assert.equal(3, a:up_to(1))
    assert.equal(5, a:up_to(10))
    assert.has_error(function() a.add(io.stdout, 1) end)
    assert.has_error(function() a:merge {} end)
    b:close()
    assert.has_error(function() a:merge(b) end)
  end)
end)

describe("llm.metrics", function()
  local mock, client

  before_each(function()
    environment.set {}
    metrics.reset()
  end)

  after_each(function()
    environment.restore()
    llm.log.configure("warn")
    if client then client:close() end
    if mock then mock:close() end
    client, mock = nil, nil
    assert.equal(0, settled())
  end)

  local function start(answers, opts)
    local answer = type(answers) == "function" and answers or nil
    local at = 0
    mock = llm.mock { answer or function()
      at = at + 1
      return answers[at]
    end }
    opts = opts or {}
    opts.provider, opts.model = mock.provider, opts.model or "gpt-4o"
    opts.costs = { ["gpt-4o"] = { input = 1, output = 2 } }
    if opts.retry == nil then opts.retry = false end
    client = llm.client(opts)
  end

  local function fill()
    start { { text = "one two three" }, { text = "four five" }, { status = 500 },
      { text = "a long answer that nobody reads to its end" } }
    assert(client:generate_text("hi"))
    for _ in client:stream_text("hi") do end -- luacheck: ignore
    assert.is_nil((client:generate_text("hi")))
    local next_text, stream = client:stream_text("hi")
    next_text(stream)
    stream:close()
  end

  it("counts plain and streamed calls, failures and what was broken off", function()
    fill()
    local m = llm.metrics()
    assert.equal(4, m.requests)
    assert.equal(2, m.successes)
    assert.equal(1, m.failures)
    assert.equal(1, m.cancelled)
    assert.near(2 / 3, m.success_rate, 1e-9)
    assert.same({ provider_unavailable = 1 }, m.errors)
    assert.is_true(m.tokens_used > 0)
    assert.is_true(m.cost > 0)
    assert.equal(2, m.response_time.count)
    assert.equal(m.response_time.mean, m.average_response_time)
    assert.is_true(m.overhead.p50 < 0.1)
    assert.equal(4, m.providers.mock.models["gpt-4o"].requests)
    assert.equal(4, m.providers.mock.requests)
  end)

  it("counts attempts after the first, and their wait apart from our own time", function()
    start({ { status = 503, headers = { ["retry-after-ms"] = "20" } }, "fine" }, { retry = true })
    assert(client:generate_text("hi"))
    local m = llm.metrics()
    assert.equal(1, m.retries)
    assert.equal(1, m.successes)
    assert.is_true(m.wait.mean >= 0.02)
  end)

  it("stands in the text format of Prometheus", function()
    fill()
    local text = llm.metrics():prometheus()
    local labels = 'gen_ai_operation_name="chat",gen_ai_provider_name="mock",' ..
      'gen_ai_request_model="gpt-4o"'
    for _, line in ipairs {
      "# TYPE gen_ai_client_operation_duration_seconds histogram",
      "gen_ai_client_operation_duration_seconds_count{" .. labels .. "} 2",
      "llmrun_requests_total{" .. labels .. "} 4",
      "llmrun_errors_total{" .. labels .. ',error_type="provider_unavailable"} 1',
      "gen_ai_client_token_usage_bucket{" .. labels ..
        ',gen_ai_token_type="output",le="+Inf"} 3',
    } do
      assert.is_truthy(text:find(line, 1, true), line .. "\n" .. text)
    end
    for line in text:gmatch("[^\n]+") do
      assert.is_truthy(line:find("^# ") or line:find("^[%w_]+{.*} [%d.e+-]+$"), line)
    end
  end)

  it("is nothing before the first call, and nothing when switched off", function()
    start({ "fine" }, { metrics = false })
    assert(client:generate_text("hi"))
    local m = llm.metrics()
    assert.equal(0, m.requests)
    assert.is_nil(m.success_rate)
    assert.same({}, m.providers)
  end)

  it("tells health: ok, degraded, down, and the last error", function()
    local failing = false
    start(function() return failing and { status = 500 } or "fine" end)
    for _ = 1, 10 do assert(client:generate_text("hi")) end
    assert.equal("ok", llm.health().mock.state)
    failing = true
    for _ = 1, 2 do client:generate_text("hi") end
    local health = llm.health().mock
    assert.equal("degraded", health.state)
    assert.equal("provider_unavailable", health.last_error_kind)
    assert.is_true(health.last_failure < 5)
    for _ = 1, 20 do client:generate_text("hi") end
    assert.equal("down", llm.health().mock.state)
    failing = false
    for _ = 1, 50 do assert(client:generate_text("hi")) end
    assert.equal("ok", llm.health().mock.state)
    assert.equal(50, llm.health().mock.calls)
    assert.is_nil(llm.health().mock.last_error)
  end)

  describe("alert", function()
    it("calls a function once a window, and not before there is enough to judge", function()
      local raised = {}
      llm.log.configure("off")
      start(function() return { status = 500 } end, { alert = { {
        metric = "error_rate", above = 0.5, at_least = 3,
        run = function(alert) raised[#raised + 1] = alert end } } })
      for _ = 1, 2 do client:generate_text("hi") end
      assert.equal(0, #raised)
      for _ = 1, 5 do client:generate_text("hi") end
      assert.equal(1, #raised)
      assert.equal(1, raised[1].value)
      assert.match("error_rate is 1, above 0.5, over 300 s", raised[1].message)
    end)

    it("posts to a webhook", function()
      local got
      local hook = llm.mock { function(request)
        got = request
        return "thanks"
      end }
      llm.log.configure("off")
      start({ "fine" }, { alert = { { metric = "tokens", above = 1,
        webhook = hook.provider.base_url .. "/chat/completions" } } })
      assert(client:generate_text("hi"))
      require("llm.policy.alert").flush()
      hook:close()
      assert.equal("tokens", got.metric)
      assert.is_true(got.value > 1)
    end)

    it("gives the alert to a command, and logs when that fails", function()
      local path, logged = os.tmpname(), {}
      llm.log.configure("error", function(_, _, message) logged[#logged + 1] = message end)
      start({ "fine", "fine" }, { alert = {
        { metric = "tokens", above = 1, command = { "tee", path } },
        { metric = "requests", above = 0, command = { "sh", "-c", "echo no mail >&2; exit 2" } },
        { metric = "requests", above = 0, command = { "no-such-program" } },
      } })
      assert(client:generate_text("hi"))
      require("llm.policy.alert").flush()
      local file = io.open(path)
      local got = llm.json.decode(file:read("*a"))
      file:close()
      os.remove(path)
      assert.equal("tokens", got.metric)
      table.sort(logged)
      assert.equal(2, #logged)
      assert.match("cannot run no%-such%-program", logged[2])
      assert.match("exit code 2: no mail; it said: requests is 1, above 0", logged[1])
    end)

    it("takes a figure of one's own, and refuses what it cannot judge", function()
      local spent, raised = 0, 0
      llm.log.configure("off")
      start(function() return "fine" end, { alert = { { metric = function() return spent end,
        above = 0.8, run = function() raised = raised + 1 end } } })
      assert(client:generate_text("hi"))
      assert.equal(0, raised)
      spent = 0.9
      assert(client:generate_text("hi"))
      assert.equal(1, raised)
      for _, rule in ipairs { { metric = "mood", above = 1, run = print },
        { metric = "cost", run = print }, { metric = "cost", above = 1 } } do
        local ok, err = pcall(llm.client, { provider = mock.provider, alert = { rule } })
        assert.is_false(ok)
        assert.equal("invalid_request", err.kind)
      end
    end)
  end)
end)
