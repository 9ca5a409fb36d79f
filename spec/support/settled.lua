--- Waits until nothing is in flight, as at the end of a spec that closed its clients and servers:
-- what ran on the other side of them needs a moment to see that. Returns llm.live(), 0 when all
-- went well.
local llm = require "llm"

return function()
  collectgarbage()
  collectgarbage()
  for _ = 1, 100 do
    if llm.live() == 0 then break end
    llm.loop.step(0.01)
    collectgarbage()
  end
  return llm.live()
end
