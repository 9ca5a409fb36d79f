-- Parts: what a file is, whatever it is called; what cannot be sent; and what each dialect sends.
local core = require "llm.core"
local llm = require "llm"
local mime = require "llm.mime"
local providers = require "llm.provider"

local json = core.json

local png = "\137PNG\r\n\26\n\0\0\0\13IHDR"
local jpeg = "\255\216\255\224\0\16JFIF\0"
local riff = "RIFF\36\0\0\0"

describe("the type of bytes", function()
  it("is told by what stands in them", function()
    for bytes, wanted in pairs {
      [png] = "image/png", [jpeg] = "image/jpeg", ["GIF89a\1\0\1\0"] = "image/gif",
      [riff .. "WEBPVP8 "] = "image/webp", [riff .. "WAVEfmt "] = "audio/wav",
      ["%PDF-1.7\n%\226\227\207\211\n"] = "application/pdf", ["ID3\4\0\0"] = "audio/mpeg",
      ["\255\251\144\0\0"] = "audio/mpeg", ["fLaC\0\0\0\34"] = "audio/flac",
      ["OggS\0\2"] = "audio/ogg", ["\0\0\0\32ftypM4A \0"] = "audio/mp4",
      ["\0\0\0\24ftypheic\0"] = "image/heic", ["\0\0\0\32ftypisom\0"] = "video/mp4",
      ["PK\3\4\20\0"] = "application/zip", ["II*\0\8\0"] = "image/tiff",
      ["plain text"] = "text/plain", ["é, ü, 春\n\27[1mbold"] = "text/plain",
      ["<!DOCTYPE html><p>"] = "text/html", ["<?xml?><svg width='1'>"] = "image/svg+xml",
    } do
      assert.equal(wanted, mime.of(bytes), wanted)
    end
  end)

  it("is not told by a name, but what texts and containers hold is", function()
    assert.equal("image/png", mime.of(png, "photo.jpg"))
    assert.equal("text/plain", mime.of("no picture", "photo.png"))
    assert.equal("text/markdown", mime.of("# Title", "README.MD"))
    assert.equal("text/csv", mime.of("a,b\n1,2\n", "table.csv"))
    assert.equal("application/json", mime.of("{}", "a.json"))
    assert.matches("wordprocessingml", mime.of("PK\3\4\20\0", "letter.docx"))
    assert.equal("application/zip", mime.of("PK\3\4\20\0", "letter.pdf"))
    assert.equal("application/vnd.ms-excel", mime.of("\208\207\17\224\161\177\26\225", "a.xls"))
  end)

  it("is unknown where nothing tells", function()
    for _, bytes in ipairs { "\1\2\3\4", "caf\233", "a\0b", "\255\254a\0b\0", "\237\160\128" } do
      assert.is_nil(mime.of(bytes, "a.txt"))
    end
  end)
end)

describe("a part", function()
  local folder, paths

  local function write(name, bytes)
    local path = folder .. "/" .. name
    local file = assert(io.open(path, "wb"))
    file:write(bytes)
    file:close()
    paths[#paths + 1] = path
    return path
  end

  before_each(function()
    folder, paths = os.tmpname(), {}
    os.remove(folder)
    assert(core.system.mkdir(folder))
  end)

  after_each(function()
    for _, path in ipairs(paths) do os.remove(path) end
    os.remove(folder)
    assert.equal(0, llm.live())
  end)

  it("is made of a path, of bytes, of a URL", function()
    local path = write("holiday.jpg", png)
    local wanted = { type = "image", mime = "image/png", data = png, name = "holiday.jpg" }
    assert.same(wanted, llm.image(path))
    assert.same(wanted, llm.file(path))
    wanted.name = nil
    assert.same(wanted, llm.image(png))
    assert.same(wanted, llm.file("data:image/png;base64," .. core.base64.encode(png)))
    local url = "https://example.org/a/photo.png?size=1#x"
    assert.same({ type = "image", mime = "image/png", url = url, name = "photo.png" },
      llm.image(url))
    assert.same({ type = "image", url = "https://example.org/" }, llm.image "https://example.org/")
    assert.same({ type = "file", mime = "application/pdf", url = "gs://bucket/a.pdf",
      name = "a.pdf" }, llm.file "gs://bucket/a.pdf")
    assert.same({ type = "audio", mime = "audio/wav", data = riff .. "WAVE" },
      llm.audio(riff .. "WAVE"))
    assert.same({ type = "file", mime = "text/plain", data = "two\nlines" }, llm.file "two\nlines")
    assert.same({ type = "file", mime = "text/x-lua", data = "x = 1", name = "s.lua" },
      llm.file(write("s.lua", "x = 1"), { mime = "text/x-lua" }))
    local named = write("GIF89a.txt", "a text")
    assert.equal("text/plain", assert(llm.file(named)).mime)
  end)

  it("that cannot be sent is an error that says why and what to do", function()
    local big = write("big.png", png .. ("x"):rep(1000))
    local strange = write("strange", "\1\2\3")
    for text, made in pairs {
      ["nowhere.png: No such file"] = { llm.file, "nowhere.png" },
      ["Is a directory"] = { llm.image, folder },
      ["is empty"] = { llm.file, write("empty", "") },
      ["larger than 0.0 MB; raise max_bytes"] = { llm.image, big, { max_bytes = 1000 } },
      ["the data is larger than"] = { llm.image, png, { max_bytes = 3 } },
      ["strange is of an unknown type; say which: mime"] = { llm.file, strange },
      ["notes.txt is text/plain, not an image"] = { llm.image, write("notes.txt", "hello") },
      ["is image/png, not audio"] = { llm.audio, png },
      ["not an image"] = { llm.image, "https://example.org/a.pdf" },
      ["a data: URL must be"] = { llm.file, "data:image/png,abc" },
    } do
      local part, err = made[1](made[2], made[3])
      assert.is_nil(part)
      assert.equal("invalid_request", err.kind)
      assert.matches(text, tostring(err), 1, true)
    end
    assert(llm.image(big))
    assert.has_error(function() llm.file(nil) end)
    assert.has_error(function() llm.file(png, { mine = "x" }) end)
  end)

  it("that lacks something is refused before it is sent", function()
    local client = llm.client { provider = { api = 1, name = "none", dialect = "openai_chat",
      base_url = "http://127.0.0.1:1", default_model = "m" } }
    for text, part in pairs {
      ["of type image needs data"] = { type = "image" },
      ["of type file needs mime"] = { type = "file", data = "x" },
      ["of type text needs text"] = { type = "text", content = "x" },
    } do
      local ok, err = pcall(client.generate_text, client, { role = "user", content = { part } })
      assert.is_false(ok)
      assert.matches(text, tostring(err), 1, true)
    end
    client:close()
  end)

  -- --- what is sent ------------------------------------------------------------------------------

  -- The content of the one user message as a provider gets it; or nil and why not.
  local function sent(name, part)
    local provider = assert(providers.find(name))
    local wire, problem = provider.dialect.encode_request({ model = "m", defaulted = {},
      messages = { { role = "user", content = { part, { type = "text", text = "What?" } } } } },
      provider)
    if not wire then return nil, problem end
    local body = json.decode(json.encode(wire.body))
    local message = (body.messages or body.input or body.contents)[1]
    return message.content or message.parts, message
  end

  local encoded = core.base64.encode(png)
  local image = { type = "image", mime = "image/png", data = png }
  local pdf = { type = "file", mime = "application/pdf", data = "%PDF-1.7\n", name = "a.pdf" }
  local notes = { type = "file", mime = "text/markdown", data = "# Hi", name = "n.md" }
  local zip = { type = "file", mime = "application/zip", data = "PK\3\4", name = "a.zip" }
  local wav = { type = "audio", mime = "audio/wav", data = "RIFF" }
  local pdf64, wav64 = core.base64.encode(pdf.data), core.base64.encode(wav.data)

  it("is what OpenAI's Chat Completions read", function()
    assert.equal("data:image/png;base64," .. encoded, sent("openai", image)[1].image_url.url)
    assert.equal("data:application/pdf;base64," .. pdf64, sent("openai", pdf)[1].file.file_data)
    assert.same({ type = "text", text = "n.md:\n# Hi" }, sent("openai", notes)[1])
    assert.same({ data = wav64, format = "wav" }, sent("openai", wav)[1].input_audio)
    assert.is_nil((sent("openai", { type = "file", url = "https://x/a.pdf" })))
  end)

  it("is what OpenAI's Responses read", function()
    assert.equal("data:image/png;base64," .. encoded, sent("openai_responses", image)[1].image_url)
    assert.equal("a.pdf", sent("openai_responses", pdf)[1].filename)
    assert.matches("audio", select(2, sent("openai_responses", wav)))
  end)

  it("is what Anthropic's Messages read", function()
    assert.same({ type = "base64", media_type = "image/png", data = encoded },
      sent("anthropic", image)[1].source)
    assert.equal("document", sent("anthropic", pdf)[1].type)
    assert.same({ type = "text", media_type = "text/plain", data = "# Hi" },
      sent("anthropic", notes)[1].source)
    assert.matches("application/zip", select(2, sent("anthropic", zip)))
    assert.matches("audio", select(2, sent("anthropic", wav)))
  end)

  it("is what Gemini reads", function()
    for _, part in ipairs { image, pdf, notes, wav } do
      assert.same({ mimeType = part.mime, data = core.base64.encode(part.data) },
        sent("google", part)[1].inlineData)
    end
    local stored = sent("google", { type = "file", url = "gs://b/a" })
    assert.same({ fileUri = "gs://b/a" }, stored[1].fileData)
  end)

  it("is what Bedrock's Converse reads", function()
    assert.same({ format = "png", source = { bytes = encoded } }, sent("bedrock", image)[1].image)
    assert.equal("pdf", sent("bedrock", pdf)[1].document.format)
    assert.equal("md", sent("bedrock", notes)[1].document.format)
    local lua = { type = "file", mime = "text/x-lua", data = "x = 1", name = "x.lua" }
    assert.equal("txt", sent("bedrock", lua)[1].document.format)
    assert.matches("zip", select(2, sent("bedrock", zip)))
    assert.matches("https", select(2, sent("bedrock", { type = "image", url = "https://x/a.png" })))
  end)

  it("is what Ollama reads", function()
    local content, message = sent("ollama", image)
    assert.equal("What?", content)
    assert.same({ encoded }, message.images)
    assert.equal("n.md:\n# Hi\nWhat?", (sent("ollama", notes)))
    assert.matches("file", select(2, sent("ollama", pdf)))
    assert.matches("by url", select(2, sent("ollama", { type = "image", url = "https://x" })))
  end)

  -- --- as the result of a tool -------------------------------------------------------------------

  -- The whole body of the second request of a loop whose tool gave an image.
  local function told(name, model)
    local provider = assert(providers.find(name))
    local calls = { { id = "c1", name = "look", arguments = "{}" },
      { id = "c2", name = "look", arguments = "{}" } }
    return json.decode(json.encode(assert(provider.dialect.encode_request({ model = model,
      defaulted = {}, messages = {
        { role = "user", content = "Look." }, { role = "assistant", tool_calls = calls },
        { role = "tool", tool_call_id = "c1",
          content = { { type = "text", text = "Here:" }, image } },
        { role = "tool", tool_call_id = "c2", content = { image } },
      } }, provider)).body))
  end

  it("is shown to a model by each dialect as it can", function()
    local chat = told("openai", "gpt-4o").messages
    assert.equal(5, #chat)
    assert.equal("Here:", chat[3].content)
    assert.equal("c2", chat[4].tool_call_id)
    assert.equal("user", chat[5].role)
    assert.equal(2, #chat[5].content)
    local anthropic = told("anthropic", "m").messages[3].content
    assert.equal("image", anthropic[1].content[2].type)
    assert.equal("input_image", told("openai_responses", "m").input[5].output[1].type)
    assert.truthy(told("bedrock", "m").messages[3].content[1].toolResult.content[2].image)
    local new = told("google", "gemini-3.8-flash").contents[3].parts
    assert.equal(2, #new)
    assert.equal("image/png", new[1].functionResponse.parts[1].inlineData.mimeType)
    local old = told("google", "gemini-2.5-flash").contents[3].parts
    assert.equal(4, #old)
    assert.truthy(old[2].inlineData)
    assert.same({ encoded }, told("ollama", "m").messages[3].images)
  end)

  it("comes out of a tool as it is", function()
    local mock = llm.mock { function(request)
      if #request.messages > 1 then return "Seen." end
      return { tool_calls = { { id = "c1", name = "look", arguments = "{}" } } }
    end }
    local client = llm.client { provider = mock:provider_for "anthropic_messages" }
    local response = assert(client:run_tools("Look.", { tools = { { name = "look", max_output = 3,
      run = function() return { { type = "text", text = "abcdef" }, image } end } } }))
    local long = llm.tool { name = "look", run = print }
    local row = { type = "file", name = "a" }
    assert.equal('[{"name":"a","type":"file"}]', long:outcome(true, { row }))
    assert.equal("n.md:\n# Hi\n[application/zip, 4 bytes]", long:outcome(true, { notes, zip }))
    assert.same(image, response.steps[1].calls[1].result[2])
    assert.equal("abc\n[cut: the first 3 of 6 bytes]", response.steps[1].calls[1].result[1].text)
    client:close()
    mock:close()
    assert.equal(0, require "spec.support.settled"())
  end)
end)
