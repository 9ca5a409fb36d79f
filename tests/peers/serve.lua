-- The mock model for the official clients: asks for the weather, then tells it. Prints its port.
local llm = require "llm"

local function answer(request)
  if request.model == "busy" then return { status = 429, message = "slow down" } end
  if request.texts then return nil end
  local last = request.messages[#request.messages]
  if last.role == "tool" then
    return { text = "It is " .. llm.message.text_of(last.content) .. " in Porto.",
      reasoning = "The tool has told me." }
  end
  return { text = "Let me look.", tool_calls = {
    { id = "call_1", name = "get_weather", arguments = '{"city":"Porto"}' } } }
end

local mock = llm.mock { answer }
io.stdout:setvbuf("line")
print(mock.base_url)
mock.serving:join()
