--- Patterns of schemas: regular expressions of ECMA-262 for PCRE2, see core/regex.h.
-- @module llm.schema.pattern
local core = require "llm.core"

-- PCRE2 knows general categories by their short names (Unicode, PropertyValueAliases).
local categories = {
  Letter = "L", Cased_Letter = "L&", Uppercase_Letter = "Lu", Lowercase_Letter = "Ll",
  Titlecase_Letter = "Lt", Modifier_Letter = "Lm", Other_Letter = "Lo", Mark = "M",
  Nonspacing_Mark = "Mn", Spacing_Mark = "Mc", Enclosing_Mark = "Me", Number = "N",
  Decimal_Number = "Nd", digit = "Nd", Letter_Number = "Nl", Other_Number = "No",
  Punctuation = "P", punct = "P", Connector_Punctuation = "Pc", Dash_Punctuation = "Pd",
  Open_Punctuation = "Ps", Close_Punctuation = "Pe", Initial_Punctuation = "Pi",
  Final_Punctuation = "Pf", Other_Punctuation = "Po", Symbol = "S", Math_Symbol = "Sm",
  Currency_Symbol = "Sc", Modifier_Symbol = "Sk", Other_Symbol = "So", Separator = "Z",
  Space_Separator = "Zs", Line_Separator = "Zl", Paragraph_Separator = "Zp", Other = "C",
  Control = "Cc", Format = "Cf", Surrogate = "Cs", Private_Use = "Co", Unassigned = "Cn",
}

local function property(escape, name)
  name = name:gsub("^General_Category=", ""):gsub("^gc=", ""):gsub("^Script=", "")
  return escape .. "{" .. (categories[name] or name) .. "}"
end

-- White space of ECMA-262: WhiteSpace and LineTerminator.
local SPACES = "\\t\\n\\x0b\\f\\r \\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f" ..
  "\\u3000\\ufeff"
local alone = { s = "[" .. SPACES .. "]", S = "[^" .. SPACES .. "]", v = "\\x0b" }
local in_class = { s = SPACES, v = "\\x0b" }

-- Escapes that mean something else here than there; the rest goes through.
local function translate(pattern)
  local out, at, escapes = {}, 1, alone
  while true do
    local special = pattern:find("[%[%]\\]", at) or #pattern + 1
    out[#out + 1] = pattern:sub(at, special - 1)
    if special > #pattern then return table.concat(out) end
    local found = pattern:match("^\\[pP]{[^}]*}", special) or pattern:match("^\\?.", special)
    local escape, name = found:match("^(\\[pP]){(.*)}$")
    if escape then
      out[#out + 1] = property(escape, name)
    else
      if found == "[" then escapes = in_class elseif found == "]" then escapes = alone end
      out[#out + 1] = escapes[found:match("^\\(.)$")] or found
    end
    at = special + #found
  end
end

--- Compiles a pattern.
-- @tparam string pattern
-- @tparam table at the keyword, see llm.schema.compile
-- @return with `:matches(text)`; raises when it is no pattern
local function compile(pattern, at)
  local regex, problem = core.regex.new(translate(pattern))
  if not regex then at:refuse("is no pattern: " .. problem) end
  return regex
end

-- Escapes of letters that ECMA-262 does not have.
local NO_ESCAPE = "\\[aeghijlmoqyzACEFGHIJKLMNOQRTUVXYZ]"

--- Whether a text is a regular expression.
-- @tparam string text
-- @treturn boolean
local function is_pattern(text)
  if text:gsub("\\\\", ""):find(NO_ESCAPE) then return false end
  return core.regex.new(translate(text)) ~= nil
end

return { compile = compile, is_pattern = is_pattern }
