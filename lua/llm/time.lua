--- Time: the two clocks, for all that waits, expires or is dated. They are called through this
-- table, so that a spec can put a clock of its own in their place.
-- @module llm.time
local core = require "llm.core"

local time = { clock = core.loop.clock }

--- The wall clock.
-- @treturn number Unix time in seconds
function time.now() return os.time() end

--- A date as people and programs read it.
-- @tparam[opt] number unix seconds; default: now
-- @treturn string UTC, `2026-11-27T01:45:52Z`
function time.stamp(unix) return os.date("!%Y-%m-%dT%H:%M:%SZ", unix or time.now()) end

return time
