// openai.mjs BASE_URL stream COUNT | calls COUNT AT_ONCE
import OpenAI from "openai"
import { flush, forEach, print } from "./print.mjs"

const [baseURL, kind, count, atOnce = count] = process.argv.slice(2)
const client = new OpenAI({ apiKey: "k", baseURL, maxRetries: 0 })
const request = { model: "gpt-4o-mini", messages: [{ role: "user", content: "hi" }] }
let tokens = 0

async function stream() {
  const chunks = await client.chat.completions.create({ ...request, stream: true })
  for await (const chunk of chunks) print(chunk.choices[0]?.delta?.content ?? "")
}

async function call() {
  const reply = await client.chat.completions.create(request)
  tokens += reply.usage.total_tokens
}

await forEach(+count, +atOnce, kind === "stream" ? stream : call)
if (kind === "calls") print(`${tokens}\n`)
flush()
