-- llmrun's side of differential.js and bench.js; Lua 5.4 with llm.core on its path.
--   worker.lua NAME                reads texts from stdin (32-bit length, bytes), answers with ids
--   worker.lua time HALVES NAME    encodes the first half of a file, then times the second
local core = require("llm.core").tokenizer

local function answer(tokenizer)
  while true do
    local head = io.read(4)
    if not head then return end
    local size = string.unpack("<I4", head)
    local ids = tokenizer:encode(size > 0 and io.read(size) or "")
    local parts = { string.pack("<I4", #ids) }
    for i, id in ipairs(ids) do parts[i + 1] = string.pack("<I4", id) end
    io.write(table.concat(parts))
    io.flush()
  end
end

-- Megabytes a second of processor time; the best of a few runs where a run leaves nothing behind.
local function speed(text, runs, call)
  local best = 0
  for _ = 1, runs do
    collectgarbage()
    local before = os.clock()
    call(text)
    best = math.max(best, #text / 1e6 / (os.clock() - before))
  end
  return best
end

local function time(path, name)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  local middle = utf8.offset(text, 0, #text // 2)
  local old, new = text:sub(1, middle - 1), text:sub(middle)
  local function fresh(warm)
    local tokenizer = core.open(name)
    if warm then tokenizer:encode(old) end
    return tokenizer
  end
  local first, warm, count = fresh(false), fresh(true), fresh(true)
  print(speed(new, 1, function(t) first:encode(t) end),
    speed(new, 1, function(t) warm:encode(t) end),
    speed(new, 1, function(t) count:count(t) end), speed(new, 3, core.estimate))
end

if arg[1] == "time" then time(arg[2], arg[3]) else answer(core.open(arg[1])) end
