--- TLS servers on loopback: certificates made by openssl in a folder of their own, served by nginx.
-- @usage
-- local server = tls.start()
-- local client = llm.client { base_url = server.url("expired"), ca_file = server.ca_file, … }
-- server.log() -- one line a request that arrived: port, HTTP version, TLS version, authorization,
-- number of the connection
-- server.stop()
local core = require "llm.core"

local tls = {}

local function run(command)
  local ok = os.execute("unset LD_PRELOAD; " .. command)
  assert(ok == true or ok == 0, command)
end

--- Whether the programs are there.
-- @treturn boolean
function tls.is_available()
  local ok = os.execute("command -v openssl >/dev/null && command -v nginx >/dev/null")
  return ok == true or ok == 0
end

local certificates = [[
set -e
cd '%s'
key() { openssl ecparam -name prime256v1 -genkey -noout -out $1.key; }
# NAME SUBJECT-ALTERNATIVE-NAME DAYS
issue() {
    key $1
    openssl req -new -key $1.key -subj "/CN=$1" -out $1.csr
    printf 'subjectAltName=%%s\n' "$2" > $1.ext
    openssl x509 -req -in $1.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days $3 \
        -extfile $1.ext -out $1.crt
}
key ca
openssl req -x509 -new -key ca.key -days 2 -subj '/CN=authority of the tests' -out ca.crt
issue good IP:127.0.0.1 2
issue expired IP:127.0.0.1 -1
issue elsewhere DNS:api.example.org 2
key selfsigned
openssl req -x509 -new -key selfsigned.key -days 2 -subj /CN=127.0.0.1 \
    -addext subjectAltName=IP:127.0.0.1 -out selfsigned.crt
]]

local configuration = [[
daemon off; master_process off; pid %s/pid; error_log %s/error.log;
events {}
http {
  log_format seen '$server_port $server_protocol $ssl_protocol $http_authorization $connection';
  access_log %s/access.log seen; client_body_temp_path %s; proxy_temp_path %s;
  fastcgi_temp_path %s; uwsgi_temp_path %s; scgi_temp_path %s; default_type application/json;
%s}
]]

local block = [[
  server { listen 127.0.0.1:%d ssl%s; ssl_certificate %s/%s.crt; ssl_certificate_key %s/%s.key; %s
    location / { return 200 '%s'; } }
]]

local answer = '{"choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},' ..
  '"finish_reason":"stop"}]}'

-- name -> certificate, and what else the server block says
local servers = {
  good = { "good" }, expired = { "expired" }, elsewhere = { "elsewhere" },
  selfsigned = { "selfsigned" }, two = { "good", http2 = true },
  old = { "good", extra = "ssl_protocols TLSv1.1; ssl_ciphers ALL:@SECLEVEL=0;" },
}

-- Ports that were free a moment ago.
local function free_ports(names)
  local loop = assert(core.loop.new())
  local held, ports = {}, {}
  for name in pairs(names) do
    held[name] = assert(core.server.listen(loop, {}))
    ports[name] = held[name]:port()
  end
  for _, server in pairs(held) do server:close() end
  return ports
end

local function read(path)
  local file = io.open(path, "r")
  if not file then return "" end
  local text = file:read("*a")
  file:close()
  return text
end

local function wait_for(condition, what)
  local deadline = core.loop.clock() + 5
  while not condition() do assert(core.loop.clock() < deadline, what) end
end

local function new_folder()
  local path = os.tmpname()
  os.remove(path)
  run("mkdir -m 700 '" .. path .. "'")
  return path
end

--- Makes the certificates and starts one server for each.
-- @treturn table folder, ca_file, ports (by name), url(name), log(), stop()
function tls.start()
  local folder = new_folder()
  run(("(%s) >'%s/openssl.log' 2>&1"):format(certificates:format(folder), folder))
  local server = { folder = folder, ca_file = folder .. "/ca.crt", ports = free_ports(servers) }
  local blocks = {}
  for name, spec in pairs(servers) do
    blocks[#blocks + 1] = block:format(server.ports[name], spec.http2 and " http2" or "", folder,
      spec[1], folder, spec[1], spec.extra or "", answer)
  end
  local file = assert(io.open(folder .. "/nginx.conf", "w"))
  file:write(configuration:format(folder, folder, folder, folder, folder,
    folder, folder, folder, table.concat(blocks)))
  file:close()
  run(("nginx -c '%s/nginx.conf' -e '%s/error.log' >'%s/nginx.log' 2>&1 &"):format(
    folder, folder, folder))
  wait_for(function() return read(folder .. "/pid"):find("%d") end, "nginx did not start")
  function server.url(name) return "https://127.0.0.1:" .. server.ports[name] .. "/v1" end
  function server.log() return read(folder .. "/access.log") end
  function server.stop()
    run("kill " .. read(folder .. "/pid"):match("%d+"))
    run("rm -r '" .. folder .. "'")
  end
  return server
end

tls.run, tls.read, tls.wait_for, tls.free_ports = run, read, wait_for, free_ports

return tls
