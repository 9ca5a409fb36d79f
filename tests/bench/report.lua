-- Turns the lines "item program wall_ms cpu_ms peak_kB" into tables of medians: report.lua RESULTS

-- cpu: {what a CPU second is multiplied with, the unit it then has}. reach: {figure, program, at
-- most this many times that program's, plus = milliseconds more, item = where that one stands}.
local ITEMS = {
  { "stream-1", "one stream of 100,000 events", cpu = { 1, "s" },
    reach = { { "cpu", "limit", 2.2 }, { "cpu", "openai", 0.1 } } },
  { "stream-100", "100 streams of 1,000 events at once", cpu = { 1, "s" },
    reach = { { "cpu", "limit", 2.2 }, { "cpu", "openai", 0.1 } } },
  { "paced-100", "100 streams, an event each 20 ms", cpu = { 100000 / 30000, "s/100k events" },
    reach = { { "cpu", "limit", 1.2 }, { "peak", "limit", 1.35 } } },
  { "paced-1000", "1,000 streams, an event each 40 ms", cpu = { 100000 / 150000, "s/100k events" },
    reach = { { "cpu", "limit", 1.2 }, { "peak", "limit", 1.35 } } },
  { "calls", "10,000 plain calls, 64 at once", cpu = { 1e6 / 10000, "us/call" },
    reach = { { "cpu", "limit", 1.3 }, { "cpu", "openai", 1 / 14 } } },
  { "batch", "10,000 rows of a batch, 64 at once; llmrun's with their journal",
    cpu = { 1e6 / 10000, "us/row" },
    reach = { { "cpu", "limit", 2.2 }, { "cpu", "openai", 1 / 8 } } },
  { "start-http", "start to the first byte of a request, http", cpu = { 1000, "ms" },
    reach = { { "wall", "curl", 1.1 } } },
  { "start-https", "start to the first byte of a handshake, https", cpu = { 1000, "ms" },
    reach = { { "wall", "curl", 1.1, plus = 3, item = "start-http" } } },
  { "empty", "nothing: -e ''", cpu = { 1000, "ms" }, reach = { { "wall", "lua5.4", 1.5 } } },
}

local function read(path)
  local results, order = {}, {}
  for line in io.lines(path) do
    local item, program, wall, cpu, peak = line:match("^(%S+) (%S+) (%S+) (%S+) (%S+)$")
    if item then
      local programs = results[item] or {}
      local runs = programs[program] or { wall = {}, cpu = {}, peak = {} }
      if not programs[program] then
        order[item] = order[item] or {}
        table.insert(order[item], program)
      end
      results[item], programs[program] = programs, runs
      table.insert(runs.wall, tonumber(wall))
      table.insert(runs.cpu, tonumber(cpu))
      table.insert(runs.peak, tonumber(peak))
    end
  end
  return results, order
end

local function median(list)
  table.sort(list)
  local middle = (#list + 1) / 2
  return (list[math.floor(middle)] + list[math.ceil(middle)]) / 2
end

local function medians(programs)
  local out = {}
  for name, runs in pairs(programs or {}) do
    out[name] = { wall = median(runs.wall), cpu = median(runs.cpu), peak = median(runs.peak) }
  end
  return out
end

local function times(figure, of)
  return of and ("%.2f"):format(figure / of) or "-"
end

local function verdict(reach, mine, others)
  local figure, other = reach[1], others[reach[2]]
  if not mine or not other then return end
  local limit = other[figure] * reach[3] + (reach.plus or 0)
  local more = reach.plus and (" in %s + %d ms"):format(reach.item, reach.plus) or ""
  print(("  reach: %s at most %.3g x %s%s: %.3g x, %s"):format(figure, reach[3], reach[2], more,
    mine[figure] / other[figure], mine[figure] <= limit and "reached" or "missed"))
end

local results, order = read(arg[1])
for _, item in ipairs(ITEMS) do
  local name, all = item[1], medians(results[item[1]])
  local base = all.limit or all["lua5.4"]
  if order[name] then
    print(("\n%s: %s, %d runs"):format(name, item[2], #results[name][order[name][1]].wall))
    print(("  %-10s %10s %18s %8s %10s %10s"):format("", "wall ms", "CPU " .. item.cpu[2], "MB",
      all.limit and "CPU/limit" or "CPU/lua", "CPU/openai"))
    for _, program in ipairs(order[name]) do
      local m = all[program]
      print(("  %-10s %10.1f %18.3f %8.1f %10s %10s"):format(program, m.wall,
        m.cpu / 1000 * item.cpu[1], m.peak / 1024, times(m.cpu, base.cpu),
        times(m.cpu, all.openai and all.openai.cpu)))
    end
    for _, reach in ipairs(item.reach) do
      verdict(reach, all.llmrun, reach.item and medians(results[reach.item]) or all)
    end
  end
end
