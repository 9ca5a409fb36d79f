--- Plays recorded bytes through a provider's dialect, without a socket.
-- @module llm.conformance.play
local playback = require "llm.playback"
local reply = require "llm.reply"

local client = {
  replies = {},
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

-- All events of a reply, and the error that ended it.
local function drain(answer, events)
  local opened, err = answer:open()
  if not opened then return err end
  while true do
    local ok, kind, value = pcall(answer.next, answer)
    if not ok then return kind end
    if not kind then return nil end
    record(events, kind, value)
  end
end

--- Plays a recording through a provider.
-- @tparam table provider as llm.provider gives it
-- @tparam table recording status, headers (names in lower case), model, query (the kind of a
-- request that is no conversation: embed, models, count)
-- @tparam table chunks list of byte strings as they come from the network
-- @param[opt] skimmer of the dialect
-- @treturn table events (list of {type, value}), response, err, is_closed (nothing was awaited)
return function(provider, recording, chunks, skimmer)
  local request = { model = recording.model or "model", messages = {}, kind = recording.query,
    call = { provider = provider, client = client } }
  local transfer = playback.of_bytes(provider.dialect, recording, chunks, skimmer)
  local answer = reply.new(transfer, 0, provider.dialect, request)
  local events = {}
  local err = drain(answer, events)
  if type(err) == "string" then error(err, 0) end
  return {
    events = events, err = err, is_closed = transfer.is_closed, response = answer:response(),
  }
end
