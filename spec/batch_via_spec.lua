-- Batches through the providers' batch APIs, against a server that speaks both.
local batch_provider = require "spec.support.batch_provider"
local llm = require "llm"
local process = require "spec.support.process"
local settled = require "spec.support.settled"

local decode = llm.json.decode

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read("*a") or ""
  if file then file:close() end
  return text
end

local function lines_of(path)
  local list = {}
  for line in read(path):gmatch("[^\n]+") do list[#list + 1] = assert(decode(line)) end
  return list
end

local function rows_of(count)
  return function()
    local i = 0
    return function()
      i = i + 1
      return i <= count and { index = i, text = "row " .. i, fields = { id = "id" .. i } } or nil
    end
  end
end

local models = { openai = "gpt-4o-mini", anthropic = "claude-haiku-5-5" }

describe("llm.batch_via", function()
  local folder, remove, path, stderr, said, provider

  before_each(function()
    folder, remove = process.folder()
    path = folder .. "/out.jsonl"
    provider = batch_provider()
    stderr, said = io.stderr, {}
    io.stderr = { write = function(_, ...) -- luacheck: ignore
      said[#said + 1] = table.concat { ... }
    end }
  end)

  after_each(function()
    io.stderr = stderr -- luacheck: ignore
    provider:close()
    remove()
    assert.equal(0, settled())
  end)

  local function via(name, opts)
    opts = opts or {}
    opts.client = llm.client { provider = name, model = models[name], api_key = "sk-test-1234",
      base_url = provider.base_url .. (name == "openai" and "/v1" or "") }
    opts.rows, opts.output, opts.poll = opts.rows or rows_of(10), path, 0.01
    opts.ask = opts.ask or function(row) return row.text end
    return llm.batch_via(opts)
  end

  local function count(entry)
    local n = 0
    for _, line in ipairs(provider.log) do n = n + (line == entry and 1 or 0) end
    return n
  end

  -- 1,000 tokens in and 100 out, by hand: gpt-4o-mini is 0.15 and 0.60 USD a million.
  local half_price = { openai = (1000 * 0.15 + 100 * 0.60) / 1e6 / 2 }

  for name in pairs(models) do
    it("writes the lines of a batch at half the price, in order: " .. name, function()
      local row = llm.cost.find(models[name], name)
      local price = half_price[name] or (1000 * row.input + 100 * row.output) / 1e6 / 2
      local result = via(name, { batch_rows = 4 })
      assert.same({ 10, 0 }, { result.done, result.failed })
      assert.equal(3, #provider.batches)
      local lines = lines_of(path)
      assert.equal(10, #lines)
      for i, line in ipairs(lines) do
        assert.equal(i, line.index)
        assert.equal("re: row " .. i, line.content)
        assert.equal("id" .. i, line.id)
        assert.equal(1100, line.tokens_used)
        assert.is_nil(line.response_time)
        assert.is_true(math.abs(line.cost_estimate - price) < 1e-12)
      end
      assert.same("", read(path .. ".job") .. read(path .. ".via"))
      assert.is_nil(table.concat(said):find("sk-test", 1, true))
      assert.is_true(provider.keys["Bearer sk-test-1234"] or provider.keys["sk-test-1234"])
    end)

    it("gives rows errors, and does them again when asked to: " .. name, function()
      provider.result = function(item, good)
        local index = tonumber(item.custom_id:match("%d+$"))
        if index == 2 then return false end -- no result
        if index == 3 then return "{broken" end
        if index == 4 then
          local fault = { type = "invalid_request_error", message = "prompt is too long" }
          if name == "openai" then
            return { custom_id = item.custom_id, response = { status_code = 400,
              body = { error = fault } } }
          end
          return { custom_id = item.custom_id, result = { type = "errored",
            error = { type = "error", error = fault } } }
        end
        if index == 5 then
          if name == "openai" then
            return { custom_id = item.custom_id,
              error = { code = "batch_expired", message = "not done in time" } }
          end
          return { custom_id = item.custom_id, result = { type = "expired" } }
        end
        return good(item)
      end
      local result = via(name)
      assert.same({ 10, 4 }, { result.done, result.failed })
      local kinds = {}
      for i, line in ipairs(lines_of(path)) do kinds[i] = line.error and line.error.kind or "-" end
      assert.equal("- protocol protocol context_length timeout - - - - -",
        table.concat(kinds, " "))
      provider.result = nil
      assert.equal(4, via(name, { retry_failed = true }).done)
      assert.equal(4, #provider.batches[2].items)
      for i, line in ipairs(lines_of(path)) do assert.equal("re: row " .. i, line.content) end
    end)

    it("finds a batch again whose id it never heard: " .. name, function()
      provider.fault = function(request, at) -- another's batch of as many rows
        if at:find("batches$") and request:method() == "POST" and not provider.batches[1] then
          provider.batches[1] = { kind = name, id = "batch_1", created = os.time(), looks = 0,
            items = {}, tag = "another" }
        end
      end
      provider.swallow = function(at) return at:find("batches$") end
      assert.is_false(pcall(via, name))
      collectgarbage()
      collectgarbage()
      provider.swallow, provider.fault = nil, nil
      for i = 1, 10 do -- with results that are not ours
        local item = provider.batches[2].items[i]
        provider.batches[1].items[i] = { custom_id = "theirs-" .. i, body = item.body,
          params = item.params }
      end
      table.insert(provider.batches, table.remove(provider.batches, 1)) -- it is newer
      assert.equal(10, via(name, { resume = true }).done)
      assert.equal(2, #provider.batches)
      for i, line in ipairs(lines_of(path)) do assert.equal("re: row " .. i, line.content) end
    end)
  end

  it("looks again when the provider fails, and heeds how long to wait", function()
    local failures = 0
    provider.fault = function(request, at)
      if not at:find("batch_1") or failures == 3 then return false end
      failures = failures + 1
      return request:respond(failures == 1 and 429 or 503, { ["Retry-After"] = "0.01" }, "{}")
    end
    assert.equal(10, via("openai").done)
    assert.equal(3, failures)
  end)

  it("gives every row of a batch that failed or expired an error of its kind", function()
    provider.result = function() return false end
    for status, kind in pairs { failed = "invalid_request", expired = "timeout",
      cancelled = "cancelled" } do
      os.remove(path)
      provider.status = status
      assert.equal(10, via("openai").failed)
      local line = lines_of(path)[7]
      assert.equal(kind, line.error.kind)
      assert.matches("ended as " .. status .. " without a result for this row", line.error.message)
      assert.equal("id7", line.id)
    end
  end)

  it("ends with the provider's refusal and loses nothing", function()
    for where, name in pairs { ["/v1/files"] = "openai", ["/v1/messages/batches"] = "anthropic" } do
      os.remove(path)
      provider.fault = function(request, at)
        return at == where and request:respond(401, {},
          '{"error":{"type":"authentication_error","message":"no such key"}}')
      end
      local ok, err = pcall(via, name)
      assert.is_false(ok)
      assert.equal("authentication", err.kind)
      collectgarbage()
      collectgarbage()
      provider.fault = nil
      assert.equal(10, via(name, { resume = true }).done)
      assert.equal(1, count(where == "/v1/files" and "POST /v1/batches" or
        "POST /v1/messages/batches") - (name == "anthropic" and 1 or 0))
    end
  end)

  it("writes rows that cannot be asked at once", function()
    local rows = rows_of(3)
    local result = via("openai", { rows = function()
      local next_row = rows()
      return function()
        local row = next_row()
        if row and row.index == 2 then row.error = "in:2: is broken" end
        return row
      end
    end })
    assert.equal(1, result.failed)
    assert.equal("in:2: is broken", lines_of(path)[2].error.message)
  end)

  it("refuses a provider that has no batch API", function()
    local ok, err = pcall(llm.batch_via, { client = llm.client { provider = "ollama", model = "x" },
      rows = rows_of(1), ask = print, output = path })
    assert.is_false(ok)
    assert.matches("ollama has no batch API that is known here; anthropic and openai have one",
      err.message, 1, true)
  end)
end)

if _VERSION ~= "Lua 5.4" then return end -- the command is the same for all three

describe("llmrun batch --via", function()
  local folder, remove, provider

  before_each(function()
    folder, remove = process.folder()
    provider = batch_provider()
    local file = assert(io.open(folder .. "/in.txt", "w"))
    for i = 1, 60 do file:write("row ", i, "\n") end
    file:close()
  end)

  after_each(function()
    provider:close()
    remove()
    assert.equal(0, settled())
  end)

  local function start(name, ...)
    return process.start({ process.llmrun, "batch", "--via", name, "--poll", "0.02", "-o",
      "out.jsonl", "-m", models[name] or "any", "Echo", "in.txt", ... }, { cwd = folder, env = {
      OPENAI_API_KEY = "sk-test-1234", OPENAI_BASE_URL = provider.base_url .. "/v1",
      ANTHROPIC_API_KEY = "sk-test-1234", ANTHROPIC_BASE_URL = provider.base_url } })
  end

  local function finish(one)
    while one.running() do llm.sleep(0.002) end
    return one.wait()
  end

  local function check_whole()
    local lines = lines_of(folder .. "/out.jsonl")
    assert.equal(60, #lines)
    for i, line in ipairs(lines) do
      assert.equal(i, line.index)
      assert.equal("re: row " .. i, line.content)
    end
  end

  -- Killed when the server sees a request, before and after it does what is asked.
  local phases = {
    openai = { "/v1/files$", "/v1/batches$", "/batch_1$", "/content$" },
    anthropic = { "/messages/batches$", "/batch_1$", "/results$" },
  }
  for name, list in pairs(phases) do
    for _, phase in ipairs(list) do
      for _, moment in ipairs { "fault", "swallow" } do
        it(("is killed at %s %s (%s)"):format(name, phase, moment), function()
          local one, is_killed
          provider[moment] = function(first, second)
            local at = second or first
            if is_killed or not at:find(phase) then return false end
            is_killed = true
            one.kill "KILL"
            return true
          end
          one = start(name)
          finish(one)
          assert.is_true(is_killed)
          assert.is_nil(read(folder .. "/out.jsonl.via"):find("sk-test", 1, true))
          provider[moment] = nil
          local done = finish(start(name, "--resume"))
          assert.equal(0, done.code, done.stderr)
          check_whole()
          assert.equal(1, #provider.batches)
        end)
      end
    end
  end

  it("leaves a batch to the provider at Ctrl-C, and cancels it when asked to", function()
    provider.looks = 1000000
    local one = start("openai")
    while #provider.log < 4 do llm.sleep(0.002) end
    one.kill "INT"
    local done = finish(one)
    assert.equal(130, done.code)
    assert.matches("openai works at batch_1 %(%-%-cancel ends that%); %-%-resume goes on",
      done.stderr)
    done = finish(start("openai", "--cancel"))
    assert.equal(0, done.code, done.stderr)
    assert.matches("was asked to cancel batch_1", done.stderr)
    done = finish(start("openai", "--resume"))
    assert.equal(13, done.code, done.stderr)
    assert.equal("cancelled", lines_of(folder .. "/out.jsonl")[60].error.kind)
    provider.looks = 1
    assert.equal(0, finish(start("openai", "--retry-failed")).code)
    check_whole()
  end)

  it("takes no more memory for many rows than a batch needs", function()
    if process.is_sanitized then return end
    local file = assert(io.open(folder .. "/in.txt", "w"))
    for i = 1, 40000 do file:write("row ", i, " is a line of a text that is not short\n") end
    file:close()
    provider.looks = 0
    local one, most = start("openai"), 0
    while one.running() do
      llm.sleep(0.01)
      most = tonumber(read("/proc/" .. one.pid .. "/status"):match("VmHWM:%s*(%d+)")) or most
    end
    assert.equal(0, one.wait().code)
    assert.is_true(#provider.batches >= 3)
    assert.equal(40000, #lines_of(folder .. "/out.jsonl"))
    assert.is_true(most > 1000 and most < 64000, most .. " kB")
  end)

  it("says what it needs", function()
    local done = process.run({ process.llmrun, "batch", "--via", "openai", "Echo" })
    assert.equal(2, done.code)
    assert.matches("%-%-via needs a FILE and an %-%-output", done.stderr)
    done = finish(start("ollama"))
    assert.equal(2, done.code)
    assert.matches("anthropic and openai have one", done.stderr)
  end)
end)
