--- Base64 (RFC 4648) for fixtures that hold any bytes.
local base64 = {}

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local value_of = {}
for i = 1, #ALPHABET do value_of[ALPHABET:sub(i, i)] = i - 1 end

--- The bytes that a text stands for; white space and padding are passed over.
-- @tparam string text
-- @treturn string
function base64.decode(text)
  local bytes, bits, width = {}, 0, 0
  for letter in text:gmatch("[%w+/]") do
    bits, width = bits * 64 + value_of[letter], width + 6
    if width >= 8 then
      width = width - 8
      local rest = bits % 2 ^ width
      bytes[#bytes + 1] = string.char((bits - rest) / 2 ^ width)
      bits = rest
    end
  end
  return table.concat(bytes)
end

return base64
