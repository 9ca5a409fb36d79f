-- Prices by hand, one published rule a row; then the user's own table, and what is refused.
local core = require "llm.core"
local price_table = require "llm.price_table"

local function read(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read("*a")
  file:close()
  return bytes
end

local document_bytes = read "core/data/prices.json"
local function document() return assert(core.json.decode(document_bytes)) end

local made = {} -- files and directories of one test

local function new_path()
  made[#made + 1] = os.tmpname()
  return made[#made]
end

local function new_directory()
  local path = new_path()
  os.remove(path)
  return path
end

-- A fresh llm.cost whose user has this data directory.
local function cost_with(directory)
  core.prices.install(nil)
  package.loaded["llm.cost"] = nil
  os.getenv = function(name) -- luacheck: ignore
    return name == "XDG_DATA_HOME" and directory or nil
  end
  return require "llm.cost"
end

local function setup_cleaning()
  local getenv = os.getenv
  after_each(function()
    os.getenv = getenv -- luacheck: ignore
    core.prices.install(nil)
    package.loaded["llm.cost"] = nil
    for _ = 1, #made do os.execute("rm -rf '" .. table.remove(made) .. "'") end
  end)
end

describe("prices by hand", function()
  setup_cleaning()
  -- rule, model, usage {input, cached, cache write, of it long, output}, terms, USD by hand
  local peak, off_peak = 1795395600, 1795406400 -- Monday 2026-11-23, 01:00 and 04:00 UTC
  local before, from = 1796083199, 1796083200 -- around 2026-12-01, 00:00 UTC
  local million = 1e6
  for _, case in ipairs({
    { "input and output", "gpt-4o", { million, 0, 0, 0, million }, {}, 2.50 + 10.00 },
    { "cached input", "gpt-4o", { million, million, 0, 0, 0 }, {}, 1.25 },
    { "no cache discount", "gpt-4", { 1000, 1000, 0, 0, 0 }, {}, 0.03 },
    { "cache write, 5 minutes", "claude-opus-4-8", { 1000, 0, 1000, 0, 0 }, {}, 0.00625 },
    { "cache write, 1 hour", "claude-opus-4-8", { 1000, 0, 1000, 1000, 0 }, {}, 0.010 },
    { "below the tier", "gemini-2.5-pro", { 200000, 0, 0, 0, 1000 }, {}, 0.25 + 0.01 },
    { "above the tier, all of it", "gemini-2.5-pro", { 200002, 0, 0, 0, 0 }, {}, 0.500005 },
    { "tier counts cached tokens", "claude-haiku-5-5", { 200000, 150000, 0, 0, 0 }, {}, 0.0325 },
    { "tier that includes its bound", "grok-4.7", { 200000, 0, 0, 0, 0 }, {}, 0.80 },
    { "peak hours", "deepseek-flash", { million, 0, 0, 0, 0 }, { time = peak }, 0.30 },
    { "off-peak hours", "deepseek-flash", { million, 0, 0, 0, 0 }, { time = off_peak }, 0.15 },
    { "before a new price", "gemini-4-argon", { million, 0, 0, 0, 0 }, { time = before }, 2.00 },
    { "the day of a new price", "gemini-4-argon", { million, 0, 0, 0, 0 }, { time = from }, 4.00 },
    { "batch", "claude-sonnet-5", { million, 0, 0, 0, million }, { batch = true }, 6.00 },
    { "batch and cache", "gemini-2.5-pro", { 100, 100, 0, 0, 0 }, { batch = true }, 1.25e-5 },
    { "flex", "gpt-5-nano", { million, 0, 0, 0, 0 }, { service_tier = "flex" }, 0.025 },
    { "fast, an exception", "gpt-4.1", { million, 0, 0, 0, 0 }, { service_tier = "fast" }, 3.50 },
    { "a dated name", "gpt-4o-mini-2024-07-18", { million, 0, 0, 0, 0 }, {}, 0.15 },
    { "a short name is not a prefix", "gpt-4o", { 1000, 0, 0, 0, 0 }, {}, 0.0025 },
    { "another product", "gemini-2.5-flash-image", { 1000, 0, 0, 0, 0 }, {}, nil },
    { "unknown is not free", "claude-opus-5-7", { 1000, 0, 0, 0, 0 }, {}, nil },
  }) do
    it(case[1], function()
      local cost = cost_with("/nowhere")
      local usage = { input_tokens = case[3][1], cached_tokens = case[3][2],
        cache_write_tokens = case[3][3], cache_write_long_tokens = case[3][4],
        output_tokens = case[3][5] }
      local usd, message = cost.of(case[2], nil, usage, nil, case[4])
      if case[5] then
        assert.near(case[5], usd, 1e-12)
      else
        assert.is_nil(usd)
        assert.equal("no price is known for " .. case[2], message)
      end
    end)
  end

  it("prices.json holds the regular expressions that the C test compares with", function()
    local match = document()._header.match
    local source = read("tests/prices_test.c"):gsub('"%s*\n%s*"', "")
    assert.truthy(source:find(match.suffix_regex, 1, true))
    assert.truthy(source:find(match.exclude_regex, 1, true))
  end)
end)

describe("llm.core.prices", function()
  local prices = core.prices
  local good = { input_tokens = 1000, cached_tokens = core.json.null, output_tokens = 500 }

  it("gives whole nano-dollars", function()
    assert.equal(7500000, prices.cost_of("gpt-4o", 1000, 0, 0, 500))
    assert.equal(6250000, prices.cost_of("openai/gpt-4o", 1000, 1000, 0, 500))
    assert.equal(300000, prices.cost_of("deepseek-flash", 1000, 0, 0, 0, 1795395600))
    assert.equal(7500000, prices.cost("gpt-4o", { input_tokens = 1000, output_tokens = 500 }))
    assert.is_nil(prices.cost_of("gpt-4p", 1000, 0, 0, 500))
  end)

  it("refuses what is not a usage, and never lowers a bill", function()
    local null = core.json.null
    assert.equal(7500000, prices.cost("gpt-4o", good))
    for _, bad in ipairs({ -1, 0.5, 0 / 0, 1e308, -1e308, 1 / 0, 2 ^ 53 + 2, "1000", true, {} }) do
      for _, key in ipairs({ "input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens",
        "cache_write_long_tokens" }) do
        local usage = { input_tokens = 1000, output_tokens = 500 }
        usage[key] = bad
        assert.is_nil((prices.cost("gpt-4o", usage)))
      end
      assert.is_nil((prices.cost_of("gpt-4o", bad, 0, 0, 1)))
      assert.is_nil((prices.cost_of("gpt-4o", 1, 0, 0, bad)))
    end
    assert.is_nil((prices.cost("gpt-4o", nil)))
    assert.is_nil((prices.cost("gpt-4o", null)))
    assert.is_nil((prices.cost("gpt-4o", {})))
    assert.is_nil((prices.cost("gpt-4o", { output_tokens = 5 })))
    assert.is_nil((prices.cost("gpt-4o", { input_tokens = 5, output_tokens = null })))
    local parts = { input_tokens = 5, cached_tokens = 6, output_tokens = 1 }
    assert.is_nil((prices.cost("gpt-4o", parts)))
  end)

  it("raises on misuse", function()
    assert.has_error(function() prices.cost({}, {}) end)
    assert.has_error(function() prices.cost("gpt-4o", good, { service_tier = 5 }) end)
    assert.has_error(function() prices.cost_of("gpt-4o", 1, 0, 0, 1, -1) end)
    assert.has_error(function() prices.cost_of("gpt-4o", 1, 0, 0, 1, 0 / 0) end)
    assert.has_error(function() prices.install({}) end)
    assert.has_error(function()
      prices.install({ text = "", names = {}, models = {}, variants = {}, providers = {},
        services = {} })
    end)
    assert.equal("2026-11-22", prices.date())
  end)

  it("shows rows", function()
    local row = prices.find("gpt-4o-2024-08-06")
    assert.same({ id = "gpt-4o", provider = "openai", context = 128000, max_output = 16384,
      input = 2.5, cached_input = 1.25, cache_write = 2.5, cache_write_long = 2.5, output = 10,
      shutdown = "2027-01-14", successor = "gpt-6-luna" }, row)
    assert.is_nil(prices.find("gpt-4o", "anthropic"))
    assert.equal(140, #prices.list())
    for _, listed in ipairs(prices.list()) do
      assert.same(listed, prices.find(listed.id, listed.provider))
    end
  end)
end)

describe("llm.cost", function()
  setup_cleaning()

  it("takes the user's own prices per 1,000 tokens first", function()
    local cost = cost_with("/nowhere")
    local costs = { ["gpt-4"] = { input = 0.01, output = 0.02 },
      ["own/model"] = { input = 1, output = 0 } }
    assert.near(0.03 + 0.03, cost.estimate("gpt-4", 1000, 500), 1e-12)
    assert.near(0.01 + 0.01, cost.estimate("gpt-4", 1000, 500, costs), 1e-12)
    assert.near(0.0075, cost.estimate("gpt-4o", 1000, 500, costs), 1e-12)
    local usage = { input_tokens = 1000, cached_tokens = 500, output_tokens = 500 }
    assert.near(0.02, cost.of("gpt-4", "openai", usage, costs), 1e-12)
    assert.near(1, cost.of("model", "own", usage, costs), 1e-12)
    assert.is_nil((cost.of("model", "other", usage, costs)))
    assert.is_nil((cost.estimate("gpt-4", -1, 500, costs)))
    assert.is_nil((cost.estimate("unheard-of", 1, 1, costs)))
    assert.is_nil((cost.of("gpt-4", "openai", nil, costs)))
    assert.has_error(function() cost.estimate("gpt-4", 1, 1, { ["gpt-4"] = { input = "1" } }) end,
      "costs[gpt-4].input must be USD per 1,000 tokens")
    assert.error_matches(function() cost.estimate(nil, 1, 1) end, "name of a model")
  end)

  it("lists models by part, pattern and provider", function()
    local cost = cost_with("/nowhere")
    assert.equal(140, #cost.models())
    assert.equal(4, #cost.models("gpt-4o"))
    assert.equal(1, #cost.models("^gpt%-4$"))
    assert.equal(1, #cost.models("gpt-5-chat")) -- no pattern where it is a part
    assert.equal(12, #cost.models({ provider = "xai" }))
    assert.same({}, cost.models("unheard-of"))
    assert.same({}, cost.models("gpt["))
    for filter, message in pairs({ [{ providr = "xai" }] = 'did you mean "provider"',
      [7] = "must be a table" }) do
      local ok, err = pcall(cost.models, filter)
      assert.is_false(ok)
      assert.truthy(tostring(err):find(message, 1, true), tostring(err))
    end
  end)

  it("says that a model has ended, and what to use instead", function()
    local cost = cost_with("/nowhere")
    assert.is_nil(cost.notice("gpt-4", nil, "2026-10-22"))
    assert.equal("gpt-4 was shut down on 2026-10-23; use gpt-5.6-sol instead",
      cost.notice("gpt-4", nil, "2026-10-23"))
    -- its recommended successor, gpt-5.3-chat-latest, has ended too
    assert.equal("gpt-5-chat-latest was shut down on 2026-07-23; use gpt-5.5 instead",
      cost.notice("gpt-5-chat-latest", nil, "2026-11-22"))
    assert.equal("claude-3-haiku-20240307 is retired",
      cost.notice("claude-3-haiku-20240307", nil, "2026-11-22"))
    assert.is_nil(cost.notice("unheard-of", nil, "2026-11-22"))
  end)
end)

describe("a newer table", function()
  setup_cleaning()

  local function write(path, bytes)
    local file = assert(io.open(path, "wb"))
    file:write(bytes)
    file:close()
  end

  local function newer(change)
    local newer_document = document()
    newer_document._header.generated = "2027-02-01"
    if change then change(newer_document) end
    local path = new_path()
    write(path, core.json.encode(newer_document))
    return path
  end

  it("compiles to what the program was built with", function()
    local prices = core.prices
    local rows = prices.list()
    local cost = cost_with(new_directory())
    local same = new_path()
    write(same, document_bytes)
    assert.equal("2026-11-22", cost.install(same))
    assert.equal(cost.path(), (select(2, cost.date())))
    assert.same(rows, prices.list())
  end)

  it("is installed, used at once and found again, until the program is newer", function()
    local directory = new_directory()
    local cost = cost_with(directory)
    local path = newer(function(d) d.providers.groq.models[1].input = 123 end)
    local model = document().providers.groq.models[1].id
    assert.equal("2027-02-01", cost.install(path))
    assert.near(123, cost.estimate(model, 1e6, 0), 1e-9)
    collectgarbage()
    collectgarbage()
    assert.near(123, cost.estimate(model, 1e6, 0), 1e-9)

    cost = cost_with(directory)
    assert.equal("2027-02-01", (cost.date()))
    assert.near(123, cost.estimate(model, 1e6, 0), 1e-9)

    local older = document()
    older._header.generated = "2026-01-01"
    write(cost.path(), core.json.encode(older))
    cost = cost_with(directory)
    assert.same({ "2026-11-22" }, { cost.date() })

    write(cost.path(), "{")
    cost = cost_with(directory)
    local date, used, complaint = cost.date()
    assert.equal("2026-11-22", date)
    assert.is_nil(used)
    assert.truthy(complaint:find(cost.path(), 1, true))
  end)

  it("is refused with the name of the field", function()
    local null = core.json.null
    local function openai(d) return d.providers.openai end
    for _, case in ipairs({
      { function(d) d._header = null end, "_header: is missing" },
      { function(d) d._header.format = 2 end, "_header.format: must be 1, not 2" },
      { function(d) d._header.currency = "EUR" end, "_header.currency: must be USD" },
      { function(d) d._header.generated = "2027-02-29" end,
        "_header.generated: must be a date like 2026-11-22" },
      { function(d) d.providers = nil end, "providers: is missing" },
      { function(d) d.providers = {} end, "providers: hold no model" },
      { function(d) d.providers.xai = 5 end, "providers.xai: must be a table, not a number" },
      { function(d) openai(d).models = { a = 1 } end, "providers.openai.models: must be a list" },
      { function(d) openai(d).models[2].id = nil end, "providers.openai.models[2].id: is missing" },
      { function(d) openai(d).models[2].id = "a\nb" end,
        "providers.openai.models[2].id: is not a short line of text" },
      { function(d) openai(d).models[2].id = openai(d).models[1].id end,
        "providers.openai.models[2].id: is empty or stands twice: gpt-6-astra" },
      { function(d) openai(d).models[3].input = nil end,
        "providers.openai.models[3].input: is missing" },
      { function(d) openai(d).models[3].input = "1" end,
        "providers.openai.models[3].input: must be a number, not a string" },
      { function(d) openai(d).models[3].output = -1 end,
        "providers.openai.models[3].output: must be between 0 and 10000" },
      { function(d) openai(d).models[1].tiers[1].cached_input = 10001 end,
        "providers.openai.models[1].tiers[1].cached_input: must be between 0 and 10000" },
      { function(d) openai(d).models[1].tiers[1].above = null end,
        "providers.openai.models[1].tiers[1].above: is missing" },
      { function(d) openai(d).models[1].shutdown = "soon" end,
        "providers.openai.models[1].shutdown: must be a date like 2026-11-22" },
      { function(d) openai(d).batch_multiplier = 0 end,
        "providers.openai.batch_multiplier: must not be 0" },
      { function(d) openai(d).service_tier_exceptions.gpt = { fast = 2 } end,
        "providers.openai.service_tier_exceptions.gpt: is not a model of this provider" },
      { function(d) d.providers.deepseek.peak_windows_utc[1][2] = "25:00" end,
        "providers.deepseek.peak_windows_utc[1].2: must be a time like 06:00" },
      { function(d) d.providers.deepseek.peak_windows_utc = null end,
        "providers.deepseek.peak_windows_utc: is missing" },
    }) do
      local changed = document()
      case[1](changed)
      assert.same({ n = 2, nil, case[2] }, { n = 2, price_table.compile(changed) })
    end
  end)

  it("leaves everything as it was when it is refused", function()
    local directory = new_directory()
    local cost = cost_with(directory)
    local path = newer(function(d) d.providers.groq.models[1].input = -1 end)
    local date, message = cost.install(path)
    assert.is_nil(date)
    assert.equal(path .. ": providers.groq.models[1].input: must be between 0 and 10000", message)
    path = newer(function(d) d._header.generated = "2026-11-21" end)
    assert.is_nil((cost.install(path)))
    assert.is_nil((cost.install("/nowhere/prices.json")))
    assert.is_nil(io.open(directory .. "/llmrun/prices.json"))
    assert.same({ "2026-11-22" }, { cost.date() })
  end)
end)
