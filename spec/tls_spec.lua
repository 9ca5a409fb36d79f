-- TLS: who is not who he says he is gets no byte of a request, so no key. hardening: T11.
local llm = require "llm"
local tls = require "spec.support.tls"

describe("TLS", function()
  if not tls.is_available() then
    print("openssl or nginx is not there: TLS was left out")
    return
  end

  local server

  setup(function() server = tls.start() end)
  teardown(function() server.stop() end)
  after_each(function() assert.equal(0, llm.live()) end)

  local function client_of(name, opts)
    local all = { provider = "openai", base_url = server.url(name), api_key = "sk-tls-secret",
      model = "m", retry = false, timeout = 5, ca_file = server.ca_file, max_connections = 100 }
    for key, value in pairs(opts or {}) do all[key] = value end
    return llm.client(all)
  end

  -- The line of the server's log for the requests that reached the server of this name.
  local function seen(name)
    return server.log():match("(%f[%d]" .. server.ports[name] .. "[^\n]*)\n")
  end

  it("is spoken with whom the authority vouches for", function()
    local response = assert(client_of("good"):generate_text("Say hello"))
    assert.equal("Hello", response.content)
    assert.matches("HTTP/1%.1 TLSv1%.[23] Bearer sk%-tls%-secret", seen("good"))
  end)

  it("carries HTTP/2 where the server offers it, many requests on one connection", function()
    local client = client_of("two")
    assert.equal("Hello", assert(client:generate_text("Say hello")).content)
    local answers = llm.map({ 1, 2, 3, 4, 5 }, function()
      return assert(client:generate_text("Say hello")).content
    end)
    assert.same({ "Hello", "Hello", "Hello", "Hello", "Hello", n = 5 }, answers)
    assert.matches("HTTP/2%.0 TLSv1%.[23] Bearer", seen("two"))
    local connections, requests = {}, 0
    for number in server.log():gmatch("%f[%d]" .. server.ports.two .. "[^\n]* (%d+)\n") do
      connections[number], requests = true, requests + 1
    end
    assert.equal(6, requests)
    assert.is_nil(next(connections, next(connections)))
  end)

  -- name of the server, what the error says, ca_file
  local refused = {
    { "expired", "expired" },
    { "selfsigned", "self.signed" },
    { "elsewhere", "127%.0%.0%.1" },
    { "old", "protocol" },
    { "good", "certificate", ca_file = "/etc/ssl/certs/ca-certificates.crt" },
  }

  for _, row in ipairs(refused) do
    it(row[1] .. (row.ca_file and " of an authority that is not ours" or "") ..
      " is refused before a byte of the request", function()
      local before = server.log()
      local client = client_of(row[1], { ca_file = row.ca_file })
      local response, err = client:generate_text("Say hello")
      assert.is_nil(response)
      assert.equal("network", err.kind)
      assert.matches(row[2], err.message)
      assert.equal("connect", err.phase)
      assert.is_false(err.maybe_billed)
      assert.equal(before, server.log())
    end)
  end

  it("needs an authority's file that is there", function()
    local err = select(2, client_of("good", { ca_file = "/nonexistent.pem" }):generate_text("Hi"))
    assert.equal("network", err.kind)
    assert.matches("nonexistent", err.message)
  end)

  -- A connection that ends without TLS's own goodbye: libcurls differ in what they call that.
  it("cut in the middle of a stream is truncated", function()
    local port = tls.free_ports({ cut = true }).cut
    local folder = server.folder
    local pipe = assert(io.popen(([[unset LD_PRELOAD; echo $$ >%s/cut.pid; exec openssl s_server \
      -quiet -accept 127.0.0.1:%d -cert %s/good.crt -key %s/good.key >%s/cut.log 2>&1]]):format(
      folder, port, folder, folder, folder), "w"))
    local event = 'data: {"choices":[{"index":0,"delta":{"content":"Hel"}}]}\n\n'
    pipe:write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n",
      ("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n"):format(#event, event))
    pipe:flush()
    local client = client_of("good", { base_url = "https://127.0.0.1:" .. port .. "/v1" })
    local next_text, stream
    tls.wait_for(function() -- until it listens
      next_text, stream = client:stream_text("Say hello")
      local ok, text = pcall(next_text, stream)
      return ok and text == "Hel"
    end, "the stream did not begin")
    tls.run("kill -9 $(cat " .. folder .. "/cut.pid)")
    local ok, err = pcall(next_text, stream)
    pipe:close()
    assert.is_false(ok)
    assert.equal("truncated", err.kind)
    assert.equal("Hel", err.partial.content)
  end)
end)
