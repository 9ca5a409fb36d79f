-- Says whose prices are in use, or makes a newer table the user's own.
-- Shows: errors of a file name the field that is wrong.
local llm = require "llm"

local args = llm.args({
  usage = "prices [FILE]",
  about = "Tells the date of the price table in use and where it comes from.\n" ..
    "With FILE, a newer table: checks it and installs it for this user.",
}, arg)

if args[1] then
  local date, message = llm.cost.install(args[1])
  if not date then llm.stop(1, message) end
end

local date, path, complaint = llm.cost.date()
print(("prices of %s, %s"):format(date, path or "built in"))
if complaint then io.stderr:write("llmrun: the table is not used: ", complaint, "\n") end
