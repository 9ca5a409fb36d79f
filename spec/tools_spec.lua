-- The tool loop against a scripted model: what is run and what is not, what the model is told, what
-- the caller gets to see, and that nothing runs on when nobody wants it.
local environment = require "spec.support.environment"
local llm = require "llm"
local settled = require "spec.support.settled"
local task = require "llm.task"

local unpack = table.unpack or unpack -- luacheck: ignore

describe("a tool loop", function()
  local mock, client, answers

  before_each(function()
    answers = {}
    mock = llm.mock { function() return table.remove(answers, 1) end }
    client = llm.client { provider = mock.provider, retry = false }
  end)

  after_each(function()
    client:close()
    mock:close()
    assert.equal(0, settled())
  end)

  local function call(name, arguments, id)
    return { id = id or "id_" .. name, name = name, arguments = arguments or "{}" }
  end

  local function calling(...) return { tool_calls = { ... } } end

  local function tool(name, run, fields)
    fields = fields or {}
    fields.name, fields.run = name, run
    return fields
  end

  -- Both forms of the loop: gives the response, or nil and the error.
  local forms = {
    run_tools = function(opts, messages) return client:run_tools(messages or "Go.", opts) end,
    stream_tools = function(opts, messages)
      local next_event, stream, _, closing = client:stream_tools(messages or "Go.", opts)
      local ok, err = pcall(function() for _ in next_event, stream, nil, closing do end end)
      if not ok then return nil, err end
      return stream:response()
    end,
  }

  -- What the model was told in the last request of the results of a step.
  local function told()
    local list = {}
    for _, message in ipairs(mock.requests[mock.count].messages) do
      if message.role == "tool" then list[#list + 1] = message.content end
    end
    return list
  end

  for form, loop in pairs(forms) do
    describe(form, function()
      it("runs what is called and asks again with the results", function()
        answers = {
          { text = "Let me look.", tool_calls = { call("weather", '{"city":"Oslo"}') },
            usage = { input_tokens = 10, output_tokens = 5 } },
          calling(call("weather", '{"city":"Porto","unit":"f"}', "w2")),
          { text = "Cold and warm.", usage = { input_tokens = 30, output_tokens = 7 } },
        }
        local seen = {}
        local weather = llm.tool {
          name = "weather", description = "The weather", parameters = "city, unit?: c|f",
          run = function(arguments, made)
            seen[#seen + 1] = made.id .. " " .. arguments.city .. " " .. tostring(arguments.unit)
            return { sky = "clear", city = arguments.city }
          end,
        }
        local response = assert(loop { tools = { weather } })
        assert.same({ "id_weather Oslo nil", "w2 Porto f" }, seen)
        assert.equal("Cold and warm.", response.content)
        assert.same({ '{"city":"Oslo","sky":"clear"}', '{"city":"Porto","sky":"clear"}' }, told())
        assert.equal("Let me look.", mock.requests[3].messages[2].content)
        local sent = mock.requests[1].tools[1]
        assert.equal("The weather", sent.description)
        assert.same({ "c", "f" }, sent.parameters.properties.unit.enum)
        assert.equal(3, #response.steps)
        local first = response.steps[1]
        assert.equal("Let me look.", first.response.content)
        assert.equal(15, first.response.tokens_used)
        assert.same({ city = "Oslo" }, first.calls[1].arguments)
        assert.equal('{"city":"Oslo","sky":"clear"}', first.calls[1].result)
        assert.is_true(first.calls[1].time >= 0)
        assert.same({}, response.steps[3].calls)
        local sum = 0
        for _, step in ipairs(response.steps) do sum = sum + step.response.tokens_used end
        assert.equal(sum, response.tokens_used)
        assert.equal(3, response.attempts)
      end)

      it("gives the conversation to go on with", function()
        answers = { calling(call "f"), "Done.", "Again." }
        local given = { { role = "user", content = "Go." } }
        local response = assert(loop({ tools = { tool("f", function() return "ok" end) } }, given))
        assert.equal(1, #given)
        local messages = response.messages
        assert.equal(4, #messages)
        assert.equal("Done.", messages[4].content)
        messages[5] = { role = "user", content = "And now?" }
        assert.equal("Again.", assert(client:generate_text(messages)).content)
      end)

      it("ends with an error that holds the steps so far", function()
        answers = { calling(call "f"), { status = 429, message = "slow down" } }
        local response, err = loop { tools = { tool("f", function() return "ok" end) } }
        assert.is_nil(response)
        assert.equal("rate_limit", err.kind)
        assert.equal(1, #err.partial.steps)
        assert.equal("ok", err.partial.steps[1].calls[1].result)
        assert.equal(err.partial.steps[1].response.tokens_used, err.partial.tokens_used)
        answers = { "Went on." }
        assert.equal("Went on.", assert(client:generate_text(err.partial.messages)).content)
      end)

      it("ends with an error when a reply is cut, and runs nothing of it", function()
        local ran = 0
        answers = { calling(call "f"), { tool_calls = { call("f", nil, "x") }, cut_after = 2 } }
        local _, err = loop { tools = { tool("f", function() ran = ran + 1 end) } }
        assert.equal(1, ran)
        assert.is_true(err.kind == "truncated" or err.kind == "network", err.kind)
        assert.equal(1, #err.partial.steps)
        assert.is_true(err.partial.steps[1].response.prompt_tokens < err.partial.prompt_tokens)
      end)

      it("ends after max_steps", function()
        for i = 1, 5 do answers[i] = calling(call "f") end
        local count = 0
        local response, err = loop {
          max_steps = 3, tools = { tool("f", function() count = count + 1 end) } }
        assert.is_nil(response)
        assert.equal("budget", err.kind)
        assert.matches("max_steps", tostring(err))
        assert.equal(3, mock.count)
        assert.equal(2, count)
        assert.equal(3, #err.partial.steps)
        assert.equal("tool_calls", err.partial.finish_reason)
        assert.equal("tool", err.partial.messages[#err.partial.messages].role)
      end)
    end)
  end

  -- One step of calls, then an answer; the records of the calls.
  local function run(opts, ...)
    answers = { calling(...), "Done." }
    local response = assert(client:run_tools("Go.", opts))
    return response.steps[1].calls, response
  end

  it("runs the calls of a step at once", function()
    local here, both = 0, false
    local function meet()
      here = here + 1
      for _ = 1, 100 do
        if here == 2 then
          both = true
          break
        end
        llm.sleep(0.002)
      end
      return here
    end
    run({ tools = { tool("a", meet), tool("b", meet) } }, call "a", call "b")
    assert.is_true(both)
    assert.same({ "2", "2" }, told())
  end)

  it("runs them one after the other when parallel_tool_calls is false", function()
    local running, most = 0, 0
    local function work()
      running = running + 1
      most = math.max(most, running)
      llm.sleep(0.002)
      running = running - 1
    end
    run({ tools = { tool("a", work) }, parallel_tool_calls = false },
      call "a", call("a", "{}", "2"), call("a", "{}", "3"))
    assert.equal(1, most)
  end)

  it("runs sixteen at most, whatever is called", function()
    local running, most, calls = 0, 0, {}
    for i = 1, 100 do calls[i] = call("a", "{}", "c" .. i) end
    local records = run({ tools = { tool("a", function()
      running = running + 1
      most = math.max(most, running)
      llm.sleep(0.001)
      running = running - 1
    end) } }, unpack(calls))
    assert.equal(16, most)
    assert.equal(100, #records)
    assert.equal("null", records[100].result)
  end)

  it("keeps the order of the calls, whichever ends first", function()
    run({ tools = { tool("slow", function() llm.sleep(0.01) return "slow" end),
      tool("fast", function() return "fast" end) } }, call "slow", call "fast")
    assert.same({ "slow", "fast" }, told())
  end)

  it("tells the model what a tool raised or returned as an error, and goes on", function()
    environment.set { OPENAI_API_KEY = "sk-very-secret-key-of-mine" }
    local keyed = llm.client { provider = "openai", model = "gpt-5-mini" }
    environment.restore()
    local records = run({ tools = {
      tool("raise", function() error("no\nsuch city, key sk-very-secret-key-of-mine") end),
      tool("give", function() return nil, "the disk is full" end),
      tool("kind", function() error(llm.error.new("network", "no route"), 0) end),
      tool("odd", function() error {} end),
      tool("long", function() error(("x"):rep(5000), 0) end),
      tool("worse", function() return { print } end),
    } }, call "raise", call "give", call "kind", call "odd", call "long", call "worse")
    keyed:close()
    local list = told()
    assert.equal("error: no such city, key [redacted]", list[1])
    assert.equal("error: the disk is full", list[2])
    assert.equal("error: network: no route", list[3])
    assert.equal("error: it failed", list[4])
    assert.is_true(#list[5] < 420)
    assert.matches("no JSON", list[6])
    assert.equal("the disk is full", records[2].error)
    assert.is_nil(records[2].result)
  end)

  it("never runs a call whose arguments are wrong, and says what is", function()
    local ran = 0
    local count = tool("f", function() ran = ran + 1 end, { parameters = "n: integer" })
    local records = run({ tools = { count } }, call("f", '{"n":', "1"), call("f", '{"n":1', "2"),
      call("f", "[1]", "3"), call("f", "3", "4"), call("f", "null", "5"),
      call("f", '{"n":"x"}', "6"),
      call("f", '{"n":1}{"n":2}', "7"), call("f", '{"n":1,"m":2}', "8"), call("g", "{}", "9"),
      call("f", '{"n":1}', "10"))
    assert.equal(1, ran)
    local list = told()
    for i = 1, 5 do assert.matches("^error: the arguments ", list[i]) end
    assert.matches("not a complete JSON object", list[2])
    assert.matches("/n must be integer", list[6], 1, true)
    assert.matches("^error: ", list[7])
    assert.matches("^error: ", list[8])
    assert.matches('no tool "g"; there are: f', list[9])
    assert.equal("null", list[10])
    assert.equal('{"n":', records[1].arguments)
    assert.equal("{}", mock.requests[2].messages[2].tool_calls[1].arguments)
    assert.equal('{"n":1}', mock.requests[2].messages[2].tool_calls[10].arguments)
  end)

  it("does not run the call at which an answer was cut at its length", function()
    local ran = {}
    answers = { { finish_reason = "length",
      tool_calls = { call("f", '{"n":1}', "1"), call("f", "", "2") } }, "Done." }
    assert(client:run_tools("Go.", { tools = {
      tool("f", function(arguments) ran[#ran + 1] = arguments.n or "none" end) } }))
    assert.same({ 1 }, ran)
    assert.matches("length limit", told()[2])
  end)

  it("runs nothing of an answer that was filtered", function()
    answers = { { tool_calls = { call "f" }, finish_reason = "content_filter" } }
    local response = assert(client:run_tools("Go.", { tools = { tool("f", error) } }))
    assert.equal("content_filter", response.finish_reason)
    assert.equal(1, mock.count)
  end)

  it("gives the model texts as they are, all else as JSON, and no more than max_output", function()
    local results = { "as it is", "", { 1, 2 }, 3, false, { a = llm.null }, ("é"):rep(10), "\n" }
    local tools, calls = {}, {}
    for i, result in ipairs(results) do
      tools[i] = tool("t" .. i, function() return result end, { max_output = 13 })
      calls[i] = call("t" .. i)
    end
    run({ tools = tools }, unpack(calls))
    assert.same({ "as it is", "", "[1,2]", "3", "false", '{"a":null}',
      ("é"):rep(6) .. "\n[cut: the first 12 of 20 bytes]", "\n" }, told())
  end)

  it("stops a tool that takes too long, and only that", function()
    local went_on = false
    local records = run({ tools = {
      tool("slow", function() llm.sleep(10) went_on = true end, { timeout = 0.02 }),
      tool("fast", function() llm.sleep(0.04) return "here" end, { timeout = 5 }),
    } }, call "slow", call "fast")
    assert.is_false(went_on)
    assert.equal("timeout: it took longer than 0.02 s and was stopped", records[1].error)
    assert.is_true(records[1].time < 5)
    assert.equal("here", records[2].result)
  end)

  it("asks before each call, in turn, and tells the model what was not allowed", function()
    local asked, ran = {}, {}
    local function note(name) return function() ran[#ran + 1] = name end end
    run({
      tools = { tool("a", note "a"), tool("b", note "b", { parameters = "x: integer" }),
        tool("c", note "c") },
      approve = function(made)
        llm.sleep(0.002)
        asked[#asked + 1] = made.name .. (made.arguments.x or "")
        if made.name == "c" then return "yes" end -- true, and nothing else, is yes
        return made.name ~= "a", "not on Sundays"
      end,
    }, call "a", call("b", '{"x":7}'), call("b", '{"x":', "bad"), call "c")
    assert.same({ "a", "b7", "c" }, asked)
    assert.same({ "b" }, ran)
    assert.equal("error: this call was not allowed: not on Sundays", told()[1])
    assert.equal("error: this call was not allowed", told()[4])
  end)

  it("takes a schema of others that makes no sense, if it is told to", function()
    local seen
    local odd = { properties = { a = { items = { {} } } } }
    local lenient = tool("a", function(arguments) seen = arguments.a end,
      { parameters = odd, lenient = true })
    run({ tools = { lenient } }, call("a", '{"a":7}'), call("a", "7", "2"))
    assert.equal(7, seen)
    assert.matches("not a complete JSON object", told()[2])
    assert.equal("object", mock.requests[1].tools[1].parameters.type)
    assert.is_nil(odd.type)
  end)

  it("forces a call in the first step alone", function()
    run({ tools = { tool("a", function() return 1 end) }, tool_choice = "required" }, call "a")
    assert.equal("required", mock.requests[1].tool_choice)
    assert.is_nil(mock.requests[2].tool_choice)
  end)

  it("is seen event by event", function()
    answers = { { text = "Hm.", tool_calls = { call("slow"), call("fast"), call("none") } }, "So." }
    local seen = {}
    for event in client:stream_tools("Go.", { tools = {
      tool("slow", function() llm.sleep(0.01) return "1" end),
      tool("fast", function() return "2" end),
    } }) do
      if event.type ~= "tool_call" and event.type ~= "tool_arguments" then
        seen[#seen + 1] = event.type .. " " ..
          (event.text or event.reason or event.id .. " " .. (event.result or "failed"))
      end
    end
    assert.same({ "text Hm.", "finish tool_calls", "tool_result id_none failed",
      "tool_result id_fast 2", "tool_result id_slow 1", "text So.", "finish stop" }, seen)
  end)

  it("stops when its stream is closed, in a reply and in a call", function()
    local ended = false
    local function slow()
      llm.sleep(5)
      ended = true
    end
    for _, last in ipairs { "finish", "text" } do
      answers = { { text = "Hm.", tool_calls = { call "slow" } } }
      local next_event, stream = client:stream_tools("Go.", { tools = { tool("slow", slow) } })
      repeat local event = next_event(stream) until event.type == last
      local waiting = llm.spawn(next_event, stream)
      llm.sleep(0.005)
      stream:close()
      waiting:cancel()
      assert.is_nil(next_event(stream))
    end
    client:close()
    mock:close()
    assert.equal(0, settled())
    assert.is_false(ended)
  end)

  it("stops its tools when its task is cancelled", function()
    local began, ended = 0, 0
    local opts = { tools = { tool("slow", function()
      began = began + 1
      llm.sleep(5)
      ended = ended + 1
    end) } }
    for _, form in pairs(forms) do
      answers = { calling(call "slow", call("slow", "{}", "2")) }
      local before = began
      local running = llm.spawn(form, opts)
      while began < before + 2 do task.step(0.01) end
      running:cancel()
      task.step(0)
      running = nil -- luacheck: ignore
    end
    client:close()
    mock:close()
    assert.equal(0, settled())
    assert.equal(4, began)
    assert.equal(0, ended)
  end)

  it("lets what approve raises through, with nothing left running", function()
    answers = { calling(call "a") }
    local ok, err = pcall(client.run_tools, client, "Go.",
      { tools = { tool("a", print) }, approve = function() error("no terminal", 0) end })
    assert.is_false(ok)
    assert.equal("no terminal", err)
  end)

  it("refuses options that make no sense", function()
    local good = tool("f", print)
    for text, opts in pairs {
      ["list of tools"] = {}, ["two of f"] = { tools = { good, tool("f", print) } },
      ["64 letters"] = { tools = { tool("a b", print) } },
      ["run must be a function"] = { tools = { { name = "f" } } },
      ["did you mean \"parameters\""] = { tools = { tool("f", print, { paramters = "a" }) } },
      ["schema of an object"] = { tools = { tool("f", print, { parameters = "{a}[]" }) } },
      ["schema notation"] = { tools = { tool("f", print, { parameters = "a:" }) } },
      ["did you mean \"max_steps\""] = { tools = { good }, max_step = 1 },
      ["at least 1"] = { tools = { good }, max_steps = 0 },
      ["one is a string"] = { tools = { "f" } },
    } do
      local ok, err = pcall(client.run_tools, client, "Go.", opts)
      assert.is_false(ok, text)
      assert.equal("invalid_request", err.kind)
      assert.matches(text, tostring(err), 1, true)
    end
    assert.equal(0, mock.count)
  end)
end)
