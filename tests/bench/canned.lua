-- Writes the canned replies that nginx serves: lua canned.lua ROOT
local root = arg[1]

local CHUNK = 'data: {"id":"chatcmpl-Ax4mWq0Yw2P9s8Zb","object":"chat.completion.chunk",'
  .. '"created":1700000000,"model":"gpt-4o-mini","system_fingerprint":"fp_b705f0c291",'
  .. '"choices":[{"index":0,"delta":%s,"finish_reason":%s}]}\n\n'
local WORDS = { " the", " model", " answers", " in", " short", " words", ",", " and", " so", " on" }

local function write(name, text)
  local folder = root .. "/" .. name .. "/v1/chat"
  assert(os.execute("mkdir -p '" .. folder .. "'"))
  local file = assert(io.open(folder .. "/completions", "w"))
  file:write(text)
  file:close()
end

local function stream(events)
  local parts = { CHUNK:format('{"role":"assistant","content":""}', "null") }
  for i = 1, events do
    parts[#parts + 1] = CHUNK:format('{"content":"' .. WORDS[i % #WORDS + 1] .. '"}', "null")
  end
  parts[#parts + 1] = CHUNK:format("{}", '"stop"')
  parts[#parts + 1] = "data: [DONE]\n\n"
  return table.concat(parts)
end

write("stream-100k", stream(100000))
write("stream-1k", stream(1000))
write("plain", '{"id":"chatcmpl-Ax4mWq0Yw2P9s8Zb","object":"chat.completion","created":1700000000,'
  .. '"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"message":{"role":"assistant",'
  .. '"content":"Hello! How can I help you today?","refusal":null,"annotations":[]},'
  .. '"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":8,'
  .. '"completion_tokens":10,"total_tokens":18,'
  .. '"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},'
  .. '"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,'
  .. '"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},'
  .. '"service_tier":"default","system_fingerprint":"fp_b705f0c291"}')
