-- Reply headers: as a table, and as the numbers that callers want.
local headers_of = require "llm.headers"
local llm = require "llm"

describe("llm.headers", function()
  teardown(function() assert.equal(0, llm.live()) end)

  it("takes a block apart", function()
    assert.same({ ["content-type"] = "text/plain", ["x-empty"] = "", ["set-cookie"] = "a=1, b:2",
      ["x-blanks"] = "a b" }, headers_of.parse(
      "Content-Type: text/plain\r\nX-Empty:\r\nSet-Cookie: a=1\r\nX-Blanks: \t a b \t\r\n" ..
      "set-cookie: b:2\r\n"))
    assert.same({}, headers_of.parse(""))
  end)

  describe("rate_limit", function()
    it("reads OpenAI's, whose resets are durations of Go", function()
      assert.same({
        requests_limit = 60, tokens_limit = 150000, requests_remaining = 59,
        tokens_remaining = 149984, requests_reset = 1, tokens_reset = 360,
      }, headers_of.rate_limit {
        ["x-ratelimit-limit-requests"] = "60", ["x-ratelimit-limit-tokens"] = "150000",
        ["x-ratelimit-remaining-requests"] = "59", ["x-ratelimit-remaining-tokens"] = "149984",
        ["x-ratelimit-reset-requests"] = "1s", ["x-ratelimit-reset-tokens"] = "6m0s",
      })
    end)

    it("reads durations", function()
      local function reset(text)
        return headers_of.rate_limit({ ["x-ratelimit-reset-tokens"] = text }).tokens_reset
      end
      for text, seconds in pairs { ["120ms"] = 0.12, ["1m12.5s"] = 72.5, ["1h0m1s"] = 3601,
        ["1d"] = 86400, ["0s"] = 0, ["30"] = 30, ["0.25"] = 0.25 } do
        assert.is_true(math.abs(seconds - reset(text)) < 1e-9, text)
      end
      for _, wrong in ipairs { "", "soon", "1x", "s", "1..2s", "nan", "inf", "-5", "0x1", "1e9" } do
        assert.is_nil(reset(wrong), wrong)
      end
    end)

    it("reads Anthropic's, whose resets are times", function()
      local now = os.time { year = 2024, month = 7, day = 1, hour = 12 }
      local limits = headers_of.rate_limit({
        ["anthropic-ratelimit-requests-limit"] = "50",
        ["anthropic-ratelimit-requests-remaining"] = "49",
        ["anthropic-ratelimit-requests-reset"] = os.date("!%Y-%m-%dT%H:%M:%SZ", now + 90),
        ["anthropic-ratelimit-input-tokens-limit"] = "20000",
        ["anthropic-ratelimit-output-tokens-remaining"] = "7999",
        ["anthropic-ratelimit-tokens-reset"] = os.date("!%Y-%m-%dT%H:%M:%S+00:00", now - 5),
      }, now)
      assert.same({ requests_limit = 50, requests_remaining = 49, requests_reset = 90,
        input_tokens_limit = 20000, output_tokens_remaining = 7999, tokens_reset = 0 }, limits)
    end)

    it("minds the zone of a time", function()
      local now = 1696004797 -- 2023-09-29 16:26:37 UTC
      local function reset(text)
        return headers_of.rate_limit({ ["x-ratelimit-reset"] = text }, now).requests_reset
      end
      assert.equal(20, reset("2023-09-29T16:26:57Z"))
      assert.equal(20, reset("2023-09-29T18:26:57+02:00"))
      assert.equal(20, reset("2023-09-29T10:56:57.123-05:30"))
    end)

    it("reads the short names, and no others", function()
      assert.same({ requests_limit = 5, requests_remaining = 4 }, headers_of.rate_limit {
        ["x-ratelimit-limit"] = "5", ["ratelimit-remaining"] = "4" })
      assert.is_nil(headers_of.rate_limit {})
      assert.is_nil(headers_of.rate_limit { ["x-ratelimit-policy_1"] = "5", date = "x",
        ["ratelimit-"] = "1" })
    end)
  end)

  it("finds the provider's id of the request", function()
    assert.equal("req_1", headers_of.request_id { ["x-request-id"] = "req_1", ["cf-ray"] = "ray" })
    assert.equal("req_2", headers_of.request_id { ["request-id"] = "req_2" })
    assert.equal("aws", headers_of.request_id { ["x-amzn-requestid"] = "aws" })
    assert.is_nil(headers_of.request_id {})
  end)

  describe("retry_after", function()
    local now = 1696004797

    it("reads seconds, milliseconds and the three forms of a date", function()
      for _, case in ipairs {
        { { ["retry-after"] = "20" }, 20 }, { { ["retry-after"] = " 7 " }, 7 },
        { { ["retry-after"] = "1.5" }, 1.5 }, { { ["retry-after-ms"] = "1500" }, 1.5 },
        { { ["retry-after-ms"] = "250", ["retry-after"] = "9" }, 0.25 },
        { { ["retry-after-ms"] = "x", ["retry-after"] = "9" }, 9 },
        { { ["retry-after-ms"] = "-1", ["retry-after"] = "9" }, 9 },
        { { ["retry-after"] = "Fri, 29 Sep 2023 16:26:57 GMT" }, 20 },
        { { ["retry-after"] = "Friday, 29-Sep-23 16:26:57 GMT" }, 20 },
        { { ["retry-after"] = "Fri Sep 29 16:26:57 2023" }, 20 },
        { { ["retry-after"] = "Sun Oct  1 16:26:37 2023" }, 2 * 86400 },
        { { ["retry-after"] = "Thu, 29 Feb 2024 00:00:00 GMT" }, 1709164800 - now },
      } do
        assert.equal(case[2], headers_of.retry_after(case[1], now))
      end
    end)

    it("takes nothing from what makes no sense or is over", function()
      for _, text in ipairs {
        "", "0", "-5", "+5", "inf", "nan", "-inf", "0x10", "1e3", "1e999", "5, 10", "5;10", "soon",
        ".", "5.", ("1"):rep(400), "Fri, 29 Sep 2023 16:26:17 GMT", "Fri, 29 Sep 1999 16:26:57 GMT",
        "Zun, 29 Sep 2023 16:26:57 GMT", "Fri, 29 Foo 2023 16:26:57 GMT",
        "Fri, 29 Sep 2023 16:26:57", "Fri, 29 Sep 100000 16:26:57 GMT",
        "Fri, 29 Sep 2023 16:26:57 GMT\0", "29 Sep 2023 16:26:57 GMT",
      } do
        assert.is_nil(headers_of.retry_after({ ["retry-after"] = text }, now), text:sub(1, 40))
      end
      assert.is_nil(headers_of.retry_after({}, now))
    end)
  end)
end)
