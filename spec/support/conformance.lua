--- Conformance: recorded bytes through a provider's dialect, without a socket, held against what
-- the manifest beside them says. A manifest is {fixtures = list of {file, status, headers, kind,
-- expect}}; kinds: ok, stream, error, stream_error, stream_interrupted, stream_corrupt, blocked.
-- @usage conformance.describe("anthropic", function() return providers.find "anthropic" end)
local assert = require "luassert"
local busted = require "busted"
local core = require "llm.core"
local reply = require "llm.reply"
local Transfer = require "spec.support.recorded_transfer"

local json = core.json
local conformance = {}

-- --- playing -------------------------------------------------------------------------------------

local client = {
  cost = function() end,
  estimate_usage = function() return { input_tokens = 0, output_tokens = 0, estimated = true } end,
}

-- Adjacent texts are one: how a text is cut into pieces is nobody's promise.
local function record(events, kind, value)
  local last = events[#events]
  if kind == "text" and last and last[1] == "text" then
    last[2] = last[2] .. value
  else
    events[#events + 1] = { kind, value }
  end
end

--- Plays a recording through a provider.
-- @tparam table provider as llm.provider gives it
-- @tparam table recording status, headers (names in lower case), model
-- @tparam table chunks list of byte strings as they come from the network
-- @param[opt] skimmer of the dialect
-- @treturn table events (list of {type, value}), response, err, is_closed (nothing was awaited)
function conformance.play(provider, recording, chunks, skimmer)
  local request = { model = recording.model or "model", messages = {},
    call = { provider = provider, client = client } }
  local transfer = Transfer.new(provider.dialect, recording, chunks, skimmer)
  local answer = reply.new(transfer, 0, provider.dialect, request)
  local played = { events = {} }
  local opened, err = answer:open()
  local ok = true
  while opened and ok do
    local kind, value
    ok, kind, value = pcall(answer.next, answer)
    if not ok then
      err = kind
    elseif kind then
      record(played.events, kind, value)
    else
      break
    end
  end
  if type(err) == "string" then error(err, 0) end
  played.err, played.is_closed = err, transfer.is_closed
  played.response = answer:response()
  return played
end

-- --- what the manifest says ----------------------------------------------------------------------

local kind_of = {
  bad_request = "invalid_request", auth = "authentication", permission = "permission",
  not_found = "model_not_found", rate_limit = "rate_limit", quota = "quota", timeout = "timeout",
  server = "provider_unavailable", overloaded = "provider_unavailable",
  context_length = "context_length", content_filter = "content_filter",
}

local function arguments_of(calls)
  local list = {}
  for i, call in ipairs(calls or {}) do
    list[i] = { name = call.name, arguments = assert(json.decode(call.arguments)), id = call.id }
  end
  return list
end

-- Whether a value stands anywhere in what the provider wants back, byte for byte.
local function holds(tree, value)
  if type(tree) ~= "table" then return tree == value end
  for _, item in pairs(tree) do
    if holds(item, value) then return true end
  end
  return false
end

-- the providers' own words where the manifest has them
local stops = {
  blocked = "content_filter", refusal = "content_filter", SAFETY = "content_filter",
  end_turn = "stop", stop_sequence = "stop", STOP = "stop", max_tokens = "length",
  MAX_TOKENS = "length", tool_use = "tool_calls",
}

-- expectation -> function(played, wanted): the check
local checks = {
  text = function(played, wanted) assert.equal(wanted, played.response.content) end,
  partial_text = function(played, wanted) assert.equal(wanted, played.response.content) end,
  thinking = function(played, wanted) assert.equal(wanted, played.response.reasoning or "") end,
  refusal = function(played, wanted) assert.equal(wanted, played.response.refusal) end,
  stop = function(played, wanted)
    assert.equal(stops[wanted] or wanted, played.response.finish_reason)
  end,
  tool_calls = function(played, wanted)
    local calls = arguments_of(played.response.tool_calls)
    for i, call in ipairs(wanted) do
      if call.id == json.null then call.id = "call_" .. i end
    end
    assert.same(wanted, calls)
  end,
  input_tokens = function(played, wanted) assert.equal(wanted, played.response.prompt_tokens) end,
  output_tokens = function(played, wanted)
    assert.equal(wanted, played.response.completion_tokens)
  end,
  cached_tokens = function(played, wanted)
    assert.equal(wanted, played.response.usage.cached_tokens)
  end,
  reasoning_tokens = function(played, wanted)
    assert.equal(wanted, played.response.usage.reasoning_tokens)
  end,
  signature = function(played, wanted) assert.is_true(holds(played.response.opaque, wanted)) end,
  encrypted_content = function(played, wanted)
    assert.is_true(holds(played.response.opaque, wanted))
  end,
  error = function(played, wanted)
    assert.equal(assert(kind_of[wanted], wanted), played.err.kind, tostring(played.err))
  end,
  retryable = function(played, wanted) assert.equal(wanted, played.err.retryable) end,
  retry_after_ms = function(played, wanted)
    assert.equal(wanted, played.err.retry_after * 1000)
  end,
  note = function() end,
  bytes = function() end,
  cost = function() end, -- the price that a provider tells is not read: ours is by the table
}

local failing = {
  error = true, stream_error = true, stream_interrupted = true, stream_corrupt = true,
}

local function usage_is_sane(usage)
  if not usage or usage.estimated then return end
  local input, output = usage.input_tokens or math.huge, usage.output_tokens or math.huge
  assert.is_true((usage.cached_tokens or 0) + (usage.cache_write_tokens or 0) <= input)
  assert.is_true((usage.reasoning_tokens or 0) <= output)
end

local function check(row, played)
  if failing[row.kind] then
    assert.is_truthy(played.err, "an error is expected")
  else
    assert.is_nil(played.err, tostring(played.err))
    assert.is_string(played.response.finish_reason)
    usage_is_sane(played.response.usage)
  end
  if row.kind == "stream_interrupted" then assert.equal("truncated", played.err.kind) end
  if row.kind == "stream_corrupt" then assert.equal("protocol", played.err.kind) end
  if row.headers["request-id"] or row.headers["x-request-id"] then
    local told = played.err or played.response
    assert.equal(row.headers["request-id"] or row.headers["x-request-id"], told.request_id)
  end
  for name, wanted in pairs(row.expect) do
    assert(checks[name], "unknown expectation " .. name)(played, wanted)
  end
end

-- What a listener would have seen, as one text.
local function seen(played)
  return json.encode { played.events, played.err and played.err.kind or json.null,
    played.response.content, arguments_of(not played.err and played.response.tool_calls or nil),
    played.response.opaque or json.null, played.response.reasoning or json.null }
end

-- Bytes that come in any two parts, or one by one, are read the same.
local function check_splits(play, bytes, whole)
  local wanted = seen(whole)
  for i = 1, #bytes - 1 do
    assert.equal(wanted, seen(play { bytes:sub(1, i), bytes:sub(i + 1) }))
  end
  local single = {}
  for i = 1, #bytes do single[i] = bytes:sub(i, i) end
  assert.equal(wanted, seen(play(single)))
end

-- A stream that ends early is an error, or nothing of it is missing.
local function check_cuts(play, bytes, whole)
  for i = 0, #bytes - 1 do
    local played = play { bytes:sub(1, i) }
    if not played.err then
      assert.equal(whole.response.content, played.response.content)
      assert.same(whole.response.tool_calls, played.response.tool_calls)
      assert.same(whole.response.opaque, played.response.opaque)
    end
  end
end

--- Reads a file of spec/fixtures.
-- @tparam string path
-- @treturn string
function conformance.read(path)
  local file = assert(io.open("spec/fixtures/" .. path, "rb"))
  local bytes = file:read("*a")
  file:close()
  return bytes
end

-- Model lists and embeddings are not this road.
local function is_conversation(row)
  return row.kind ~= "request" and not row.expect.models and not row.expect.embeddings
end

local function describe_row(folder, row, provider_of)
  busted.describe(folder .. "/" .. row.file, function()
    local bytes = conformance.read(folder .. "/" .. row.file)
    local provider, whole
    local function play(chunks, skimmer)
      return conformance.play(provider, row, chunks, skimmer)
    end

    busted.setup(function()
      provider = provider_of(row.file)
      whole = play { bytes }
    end)

    busted.it("reads as the manifest says", function() check(row, whole) end)

    if not row.kind:find("^stream") then return end

    busted.it("reads the same at every split", function() check_splits(play, bytes, whole) end)

    busted.it("reads the same when plain deltas are skimmed", function()
      local skimmer = provider.dialect.skimmer
      if skimmer then assert.equal(seen(whole), seen(play({ bytes }, skimmer))) end
    end)

    if row.kind ~= "stream" then return end

    busted.it("is never short without an error", function() check_cuts(play, bytes, whole) end)
  end)
end

--- Describes every fixture of a folder of spec/fixtures by its manifest.
-- @tparam string folder
-- @tparam function provider_of `function(file) -> provider`, as llm.provider gives it
function conformance.describe(folder, provider_of)
  local manifest = assert(json.decode(conformance.read(folder .. "/manifest.json")))
  for _, row in ipairs(manifest.fixtures) do
    if is_conversation(row) then describe_row(folder, row, provider_of) end
  end
end

--- Checks that a canonical request becomes a documented body, and always the same bytes.
-- @tparam table provider as llm.provider gives it
-- @tparam string path of the documented body
-- @tparam table request canonical
function conformance.encodes(provider, path, request)
  local wanted = assert(json.decode(conformance.read(path)))
  local wire = assert(provider.dialect.encode_request(request, provider))
  local bytes = json.encode(wire.body)
  assert.same(wanted, json.decode(bytes))
  for _ = 1, 100 do
    assert.equal(bytes, json.encode(provider.dialect.encode_request(request, provider).body))
  end
end

return conformance
