-- The layers of the project, checked by reading includes, calls and requires. Exits 1 on a breach.
-- usage: lua5.4 tests/layers.lua FILE...   (paths relative to the repository)

local breaches = 0

local function breach(path, line, text)
  breaches = breaches + 1
  print(("%s:%d: %s"):format(path, line, text))
end

local system_headers = { curl = true, microhttpd = true, openssl = true }
local calls_lua = { "lua_p?callk?%f[%W]", "lua_resume%f[%W]", "lua_yieldk?%f[%W]" }

-- core/ but for core/lua and the command knows nothing of Lua, and uses three libraries.
local function check_core(path, number, line)
  local header = line:match('^%s*#%s*include%s*[<"]([^>"]+)')
  if not header then return end
  if header:find("^lua") or header:find("^lauxlib") or header == "compat.h" then
    breach(path, number, "core/ must not include " .. header)
  end
  local folder = header:match("^(%w+)/")
  if folder and not system_headers[folder] and folder ~= "sys" and folder ~= "netinet" and
    folder ~= "arpa" and folder ~= "tokenizer" then
    breach(path, number, "core/ does not use the library of " .. header)
  end
end

-- Nothing in core/ calls Lua.
local function check_no_calls(path, number, line)
  local code = line:gsub("/%*.-%*/", ""):gsub("^%s*%*.*", ""):gsub("^%s*/%*.*", "")
  for _, pattern in ipairs(calls_lua) do
    if code:find(pattern) then breach(path, number, "C must not call Lua") end
  end
end

-- Dialects and policies do no I/O, read no clock, yield nothing.
local function check_pure(path, number, line)
  local code = line:gsub("%-%-.*", "")
  for _, library in ipairs { "io", "os", "coroutine", "debug" } do
    if code:find("%f[%w_.]" .. library .. "%.%w") then
      breach(path, number, "dialects and policies must not use " .. library)
    end
  end
end

-- Scripts use the public surface.
local function check_script(path, number, line)
  for name in line:gmatch("require%s*%(?%s*[\"']([^\"']+)") do
    if name ~= "llm" and not name:find("^cjson") then
      breach(path, number, "scripts use require \"llm\" only, not " .. name)
    end
  end
end

local rules = {
  { "^core/[^/]+%.[ch]$", check_core, except = "core/llmrun.c" },
  { "^core/tokenizer/", check_core },
  { "^core/.*%.[ch]$", check_no_calls, except = "core/llmrun.c" },
  { "^lua/llm/dialect/", check_pure },
  { "^lua/llm/policy/", check_pure },
  { "^scripts/", check_script },
}

for i = 1, #arg do
  local path = arg[i]
  for _, rule in ipairs(rules) do
    if path:find(rule[1]) and path ~= rule.except then
      local number = 0
      for line in io.lines(path) do
        number = number + 1
        rule[2](path, number, line)
      end
    end
  end
end
print(("%d files, %d breaches"):format(#arg, breaches))
os.exit(breaches == 0 and 0 or 1)
