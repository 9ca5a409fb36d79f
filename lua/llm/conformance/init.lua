--- Conformance: what every adapter must hold, checked over recorded fixtures. See docs/adapters.md.
-- A manifest is {fixtures = list of {file, status, headers, kind, expect, same_as}}; kinds: ok,
-- stream, error, stream_error, stream_interrupted, stream_corrupt, blocked.
-- @module llm.conformance
local core = require "llm.core"
local expect = require "llm.conformance.expect"
local guard = require "llm.conformance.guard"
local options = require "llm.options"
local play = require "llm.conformance.play"
local providers = require "llm.provider"
local sample = require "llm.conformance.sample"

local json = core.json
local conformance = { play = play }

local BUILDS = 1000
local LARGEST = 2 ^ 26 -- bytes that one check plays; a longer fixture is cut at fewer places

-- What a listener would have seen, as one text.
local function seen(played)
  local response = played.response
  return json.encode { played.events, played.err and played.err.kind or json.null,
    response.content, expect.arguments_of(not played.err and response.tool_calls or nil),
    response.opaque or json.null, response.reasoning or json.null }
end

local function stride(bytes) return math.ceil(#bytes * #bytes / LARGEST) end

-- Each check gets the fixture: row, bytes, provider, whole() (how it reads in one piece), and
-- play(chunks[, skimmer]).
local function reads(fixture) expect.row_holds(fixture.row, fixture.whole()) end

local function has_json_arguments(fixture)
  expect.arguments_of(fixture.whole().response.tool_calls)
end

local function counts_sanely(fixture) expect.usage_is_sane(fixture.whole()) end

local function does_no_io(fixture)
  play(guard.watch(fixture.provider), fixture.row, { fixture.bytes })
end

-- Bytes that come in any two parts, or one by one, are read the same.
local function reads_at_splits(fixture)
  local bytes, wanted = fixture.bytes, seen(fixture.whole())
  for i = 1, #bytes - 1, stride(bytes) do
    local got = seen(fixture.play { bytes:sub(1, i), bytes:sub(i + 1) })
    if got ~= wanted then expect.same("cut in two after byte " .. i, wanted, got) end
  end
  local single = {}
  for i = 1, #bytes do single[i] = bytes:sub(i, i) end
  expect.same("byte by byte", wanted, seen(fixture.play(single)))
end

local function reads_skimmed(fixture)
  local skimmer = fixture.provider.dialect.skimmer
  if not skimmer then return end
  expect.same("skimmed", seen(fixture.whole()), seen(fixture.play({ fixture.bytes }, skimmer)))
end

-- A stream that ends early is an error, or nothing of it is missing.
local function flags_cuts(fixture)
  local bytes, whole = fixture.bytes, fixture.whole().response
  for i = 0, #bytes - 1, stride(bytes) do
    local played = fixture.play { bytes:sub(1, i) }
    if not played.err then
      local where = ("ended after byte %d of %d without an error, "):format(i, #bytes)
      local response = played.response
      expect.same(where .. "text", whole.content, response.content)
      expect.same(where .. "tool_calls", whole.tool_calls, response.tool_calls)
      expect.same(where .. "opaque", whole.opaque, response.opaque)
    end
  end
end

local function reads_as_body(fixture)
  local other = fixture.other(fixture.row.same_as)
  local stream, body = fixture.whole().response, other.whole().response
  for _, name in ipairs { "content", "reasoning", "refusal", "finish_reason", "usage", "opaque" } do
    expect.same(name .. " of the body", body[name], stream[name])
  end
  expect.same("tool_calls of the body", expect.arguments_of(body.tool_calls),
    expect.arguments_of(stream.tool_calls))
end

local every = {
  { "reads as the manifest says", reads },
  { "has tool arguments that are JSON", has_json_arguments },
  { "counts tokens sanely", counts_sanely }, { "does no I/O", does_no_io },
}
local of_streams = {
  { "reads the same at every split", reads_at_splits },
  { "reads the same when plain deltas are skimmed", reads_skimmed },
}

-- kind -> lists of checks
local short = { { "is never short without an error", flags_cuts } }
local checks_of_kind = {
  ok = { every }, blocked = { every }, error = { every }, stream = { every, of_streams, short },
  stream_error = { every, of_streams }, stream_interrupted = { every, of_streams },
  stream_corrupt = { every, of_streams },
}
local same_as = { { "reads as the plain body does", reads_as_body } }

local function new_fixture(set, row)
  local fixture = { row = row, bytes = set.read(row.file), provider = set.provider_of(row.file) }
  local whole
  function fixture.play(chunks, skimmer) return play(fixture.provider, row, chunks, skimmer) end
  function fixture.whole()
    whole = whole or fixture.play { fixture.bytes }
    return whole
  end
  function fixture.other(file)
    for _, candidate in ipairs(set.rows) do
      if candidate.file == file then return new_fixture(set, candidate) end
    end
    error("the manifest has no fixture " .. file, 0)
  end
  return fixture
end

-- The checks of one row; what they need is read when the first of them runs.
local function checks_of(set, row)
  local lists = checks_of_kind[row.kind]
  if not lists then
    options.refuse("manifest", ("%s has an unknown kind %q"):format(row.file, tostring(row.kind)))
  end
  local fixture
  local checks = { file = row.file }
  local function add(list)
    for _, check in ipairs(list) do
      checks[#checks + 1] = { name = check[1], run = function()
        fixture = fixture or new_fixture(set, row)
        check[2](fixture)
      end }
    end
  end
  for _, list in ipairs(lists) do add(list) end
  if row.same_as then add(same_as) end
  return checks
end

local function read_file(path)
  local file, message = io.open(path, "rb")
  if not file then options.refuse("fixtures", message) end
  local bytes = file:read("*a")
  file:close()
  return bytes
end

-- Which query a row answers; nil: it is of a conversation.
local function query_of(row)
  return row.expect.models and "models" or row.expect.embeddings and "embed" or nil
end

--- The checks of every fixture in a folder with a manifest.json.
-- @tparam string folder
-- @tparam function provider_of `function(file) -> provider`, as llm.provider gives it
-- @treturn table list of `{file=, {name=, run=}…}`; `run()` raises what is wrong
-- @raise invalid_request when the manifest cannot be read
function conformance.fixtures(folder, provider_of)
  local function read(name) return read_file(folder .. "/" .. name) end
  local manifest, message = json.decode(read "manifest.json")
  if type(manifest) ~= "table" or type(manifest.fixtures) ~= "table" then
    options.refuse(folder .. "/manifest.json", message or "expected {\"fixtures\": [...]}")
  end
  local set = { read = read, provider_of = provider_of, rows = manifest.fixtures }
  local list = {}
  for _, row in ipairs(set.rows) do
    row.headers, row.expect, row.status = row.headers or {}, row.expect or {}, row.status or 200
    row.query = row.query or query_of(row)
    if row.kind ~= "request" then list[#list + 1] = checks_of(set, row) end
  end
  return list
end

--- The checks of what a provider sends.
-- @tparam table provider
-- @treturn table list of `{name=, run=}`
function conformance.requests(provider)
  local guarded = guard.watch(provider)
  local function try(request) return guarded.dialect.encode_request(request, guarded) end
  local function bytes_of(request)
    local wire, problem = provider.dialect.encode_request(sample.shuffled(request), provider)
    if not wire then error("refused what it took before: " .. tostring(problem), 0) end
    return json.encode { wire.path, wire.headers or json.null, wire.body or json.null }
  end
  return {
    file = "requests",
    { name = ("are the same bytes in %d builds"):format(BUILDS), run = function()
      local request, problem = sample.richest(provider, try)
      if not request then error("a plain question is refused: " .. tostring(problem), 0) end
      local wanted = bytes_of(request)
      for _ = 2, BUILDS do expect.same("bytes", wanted, bytes_of(request)) end
    end },
  }
end

local function run_all(list, tally, report)
  for _, check in ipairs(list) do
    local ok, problem = pcall(check.run)
    tally[ok] = tally[ok] + 1
    if not ok then report(("%s %s: %s"):format(list.file, check.name, tostring(problem))) end
  end
end

--- Runs every check of an adapter over a folder of fixtures.
-- @tparam string|table spec name, path or table of a provider; it is loaded under the guard
-- @tparam string folder with a manifest.json
-- @tparam function report `report(line)`, called for each check that fails
-- @treturn number how many passed
-- @treturn number how many failed
-- @usage local passed, failed = llm.conformance.run("./mine.lua", "fixtures", print)
function conformance.run(spec, folder, report)
  local tally = { [true] = 0, [false] = 0 }
  local provider, err
  run_all({ file = tostring(spec), { name = "loads without I/O", run = function()
    provider, err = guard.call(providers.find, spec)
    if not provider then error(err, 0) end
  end } }, tally, report)
  if not provider then return tally[true], tally[false] end
  run_all(conformance.requests(provider), tally, report)
  for _, list in ipairs(conformance.fixtures(folder, function() return provider end)) do
    run_all(list, tally, report)
  end
  return tally[true], tally[false]
end

return conformance
