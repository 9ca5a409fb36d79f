--- How far a batch is: a bar where people look, a line from time to time where they do not.
-- @module llm.batch_progress
local core = require "llm.core"
local output = require "llm.output"
local time = require "llm.time"

local EVERY, EVERY_LINE = 0.1, 10 -- seconds between two looks, on a terminal and elsewhere
local BAR = 20 -- columns

local function new(total, before)
  local is_terminal = output.is_terminal "stderr"
  return { total = total, before = before, done = 0, failed = 0, cost = 0, tokens = 0,
    began = time.clock(), is_terminal = is_terminal,
    next_look = time.clock() + (is_terminal and 0 or EVERY_LINE) }
end

local function count(state, fields)
  state.done = state.done + 1
  if fields.error then state.failed = state.failed + 1 end
  local priced = fields.error or fields
  state.cost = state.cost + (priced.cost_estimate or 0)
  state.tokens = state.tokens + (fields.tokens_used or 0)
end

local function duration(seconds)
  seconds = math.floor(seconds + 0.5)
  if seconds >= 3600 then
    return ("%d:%02d:%02d"):format(math.floor(seconds / 3600), math.floor(seconds / 60) % 60,
      seconds % 60)
  end
  return ("%d:%02d"):format(math.floor(seconds / 60), seconds % 60)
end

-- The parts of the text, those that matter most first.
local function parts_of(state)
  local all, parts = state.before + state.done, {}
  local seconds = time.clock() - state.began
  local rate = seconds > 0 and state.done / seconds or 0
  parts[1] = state.total and ("%d/%d"):format(all, state.total) or ("%d rows"):format(all)
  if state.failed > 0 then parts[#parts + 1] = state.failed .. " failed" end
  if state.total and rate > 0 and all < state.total then
    parts[#parts + 1] = "ETA " .. duration((state.total - all) / rate)
  end
  parts[#parts + 1] = ("%.1f/s"):format(rate)
  parts[#parts + 1] = ("$%.4f"):format(state.cost)
  parts[#parts + 1] = state.tokens .. " tokens"
  return parts
end

-- As much as there is room for.
local function fit(state, columns)
  local text = ""
  for i, part in ipairs(parts_of(state)) do
    local longer = i == 1 and part or text .. "  " .. part
    if #longer >= columns then break end
    text = longer
  end
  if not state.total or #text + BAR + 3 >= columns then return text end
  local share = state.total > 0 and (state.before + state.done) / state.total or 1
  local full = math.min(BAR, math.floor(share * BAR))
  return "[" .. ("#"):rep(full) .. ("-"):rep(BAR - full) .. "] " .. text
end

local function show(state)
  local now = time.clock()
  if now < state.next_look then return end
  if state.is_terminal then
    state.next_look = now + EVERY
    output.progress(fit(state, (core.system.columns())))
  else
    state.next_look = now + EVERY_LINE
    io.stderr:write("llmrun: ", table.concat(parts_of(state), ", "), "\n")
  end
end

--- Takes the bar away.
local function finish() output.progress() end

return { new = new, count = count, show = show, finish = finish, parts_of = parts_of }
