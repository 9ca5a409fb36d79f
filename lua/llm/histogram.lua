--- Histogram of positive numbers in buckets that grow by 2 %, so that any percentile is within 1 %
-- of the truth while memory stays at some hundred counters (the idea of HDR histograms).
-- @module llm.histogram
local GROWTH = 1.02
local SCALE = 1 / math.log(GROWTH)
local SMALLEST, LARGEST = 1e-9, 1e12 -- what lies beyond counts as these

local floor, log = math.floor, math.log

local Histogram = {}
Histogram.__index = Histogram

--- An empty histogram.
local function new()
  return setmetatable({ count = 0, sum = 0, least = math.huge, most = 0, buckets = {} }, Histogram)
end

--- Adds a number; NaN and what is below 0 are passed over.
-- @tparam number value
function Histogram:add(value)
  if value ~= value or value < 0 then return end
  local within = value < SMALLEST and SMALLEST or value > LARGEST and LARGEST or value
  local index = floor(log(within) * SCALE)
  local buckets = self.buckets
  buckets[index] = (buckets[index] or 0) + 1
  self.count, self.sum = self.count + 1, self.sum + value
  if value < self.least then self.least = value end
  if value > self.most then self.most = value end
end

local function indices(self)
  local list = {}
  for index in pairs(self.buckets) do list[#list + 1] = index end
  table.sort(list)
  return list
end

--- The number below which so large a share lies.
-- @tparam number share 0.5 for the median
-- @treturn number|nil nil when it is empty
function Histogram:percentile(share)
  if self.count == 0 then return nil end
  local wanted, seen = share * self.count, 0
  for _, index in ipairs(indices(self)) do
    seen = seen + self.buckets[index]
    if seen >= wanted then
      local middle = GROWTH ^ (index + 0.5)
      if middle <= SMALLEST * GROWTH then middle = 0 end
      return math.max(self.least, math.min(self.most, middle))
    end
  end
  return self.most
end

--- How many lie at or below each of the bounds, to 2 %.
-- @tparam table bounds in rising order
-- @treturn table counts
function Histogram:cumulated(bounds)
  local counts, list, at, seen = {}, indices(self), 1, 0
  for i, bound in ipairs(bounds) do
    while list[at] and GROWTH ^ (list[at] + 0.5) <= bound do
      seen = seen + self.buckets[list[at]]
      at = at + 1
    end
    counts[i] = seen
  end
  return counts
end

--- Adds everything that another one holds.
-- @tparam Histogram other
function Histogram:merge(other)
  for index, count in pairs(other.buckets) do
    self.buckets[index] = (self.buckets[index] or 0) + count
  end
  self.count, self.sum = self.count + other.count, self.sum + other.sum
  self.least, self.most = math.min(self.least, other.least), math.max(self.most, other.most)
end

--- The figures that people read.
-- @treturn table|nil `count`, `mean`, `min`, `p50`, `p90`, `p99`, `max`; nil when it is empty
function Histogram:summary()
  if self.count == 0 then return nil end
  return {
    count = self.count, mean = self.sum / self.count, min = self.least, max = self.most,
    p50 = self:percentile(0.5), p90 = self:percentile(0.9), p99 = self:percentile(0.99),
  }
end

return { new = new }
