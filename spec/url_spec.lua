-- Base URLs are checked once, where they enter; a model's name stays one segment of a path.
local llm = require "llm"
local url = require "llm.url"

describe("llm.url", function()
  teardown(function() assert.equal(0, llm.live()) end)

  it("takes URLs apart", function()
    for _, case in ipairs {
      { "https://api.openai.com/v1", "https", "api.openai.com", 443, "/v1", false },
      { "HTTP://LocalHost:8080", "http", "localhost", 8080, "", true },
      { "http://127.0.0.1:1/", "http", "127.0.0.1", 1, "/", true },
      { "http://127.8.9.10", "http", "127.8.9.10", 80, "", true },
      { "http://[::1]:65535/x?y#z", "http", "[::1]", 65535, "/x?y#z", true },
      { "https://[2001:db8::1]/v1", "https", "[2001:db8::1]", 443, "/v1", false },
      { "http://127.0.0.1.example.org/", "http", "127.0.0.1.example.org", 80, "/", false },
      { "http://localhost.example.org/", "http", "localhost.example.org", 80, "/", false },
      { "https://a_b-c.example/%2e%2e", "https", "a_b-c.example", 443, "/%2e%2e", false },
    } do
      local parsed = assert(url.parse(case[1]))
      assert.same({ case[2], case[3], case[4], case[5], case[6] },
        { parsed.scheme, parsed.host, parsed.port, parsed.path, parsed.is_loopback })
      assert.equal(case[2] .. "://" .. case[3] .. ":" .. case[4], parsed.origin)
    end
  end)

  it("refuses what cannot be a base URL, in words", function()
    for _, case in ipairs {
      { "", "must begin with https://" }, { "api.openai.com/v1", "must begin with" },
      { "//api.openai.com", "must begin with" }, { "https:/x", "must begin with" },
      { "javascript:alert(1)", "must begin with" }, { "file:///etc/passwd", "not file" },
      { "ftp://example.org", "not ftp" }, { "javascript://x", "not javascript" },
      { "https://user:sk-secret@example.org", "user name or password" },
      { "https://user@example.org", "user name or password" },
      { "http://127.0.0.1\\@example.org", "user name or password" },
      { "https://exa mple.org", "blank or a control" }, { " https://example.org", "blank" },
      { "https://example.org\r\nX: y", "blank or a control" }, { "https://a\0b", "control" },
      { "https://", "host" }, { "https:///v1", "host" }, { "https://:443", "host" },
      { "https://[fe80::1%25eth0]/", "host" }, { "https://[fe80::1%eth0]/", "host" },
      { "https://[::1", "host" }, { "https://::1/", "host" }, { "https://exämple.org", "host" },
      { "https://a\\b", "host" }, { "https://a%2eb", "host" }, { "https://a:b", "host" },
      { "https://a:", "host" }, { "https://a:-1", "host" },
      { "https://a:0", "port" }, { "https://a:65536", "port" },
      { "https://a:99999999999999999999999", "port" },
      { "https://a/" .. ("x"):rep(10000), "longer than 2048" },
    } do
      local parsed, problem = url.parse(case[1])
      assert.is_nil(parsed, case[1]:sub(1, 40))
      assert.is_truthy(problem:find(case[2], 1, true), case[1]:sub(1, 40) .. " -> " .. problem)
      assert.is_nil(problem:find("secret", 1, true))
    end
  end)

  it("finds the target of a Location", function()
    local base = assert(url.parse("https://api.example.org:8443/v1/chat?x=1#y"))
    for _, case in ipairs {
      { "/v2", "https://api.example.org:8443", "/v2" },
      { "other", "https://api.example.org:8443", "/v1/other" },
      { "//evil.example/x", "https://evil.example:443", "/x" },
      { "http://api.example.org:8443/v1", "http://api.example.org:8443", "/v1" },
      { "https://api.example.org/v1", "https://api.example.org:443", "/v1" },
    } do
      local target = assert(url.resolve(base, case[1]))
      assert.same({ case[2], case[3] }, { target.origin, target.path })
    end
    for _, wrong in ipairs { "file:///etc/passwd", "gopher://x/1", "javascript:x",
      "https://api.openai.com@evil.example/", "https://a b/" } do
      assert.is_nil((url.resolve(base, wrong)), wrong)
    end
  end)

  it("keeps any model's name in one segment", function()
    for _, case in ipairs {
      { "gemini-2.5-pro", "gemini-2.5-pro" }, { "../../admin", "..%2F..%2Fadmin" },
      { "x?key=", "x%3Fkey%3D" }, { "a/b#c", "a%2Fb%23c" }, { "%2e%2e", "%252e%252e" },
      { "a:b", "a%3Ab" }, { "．．", "%EF%BC%8E%EF%BC%8E" }, { "…", "%E2%80%A6" },
      { "a\r\nb\0", "a%0D%0Ab%00" }, { "...", "..." },
    } do
      assert.equal(case[2], url.segment(case[1]))
    end
    for _, wrong in ipairs { "", ".", ".." } do
      local segment, problem = url.segment(wrong)
      assert.is_nil(segment)
      assert.matches("cannot be part of a URL path", problem)
    end
  end)
end)
