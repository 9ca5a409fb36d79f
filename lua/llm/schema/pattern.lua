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

local function translate(pattern)
  return (pattern:gsub("(\\[pP]){([^}]*)}", function(escape, name)
    name = name:gsub("^General_Category=", ""):gsub("^gc=", ""):gsub("^Script=", "")
    return escape .. "{" .. (categories[name] or name) .. "}"
  end))
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

return { compile = compile }
