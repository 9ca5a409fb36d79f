// ai.mjs BASE_URL stream COUNT | calls COUNT AT_ONCE
import { createOpenAI } from "@ai-sdk/openai"
import { generateText, streamText } from "ai"
import { flush, forEach, print } from "./print.mjs"

const [baseURL, kind, count, atOnce = count] = process.argv.slice(2)
const model = createOpenAI({ apiKey: "k", baseURL }).chat("gpt-4o-mini")
let tokens = 0

async function stream() {
  const { textStream } = streamText({ model, prompt: "hi", maxRetries: 0 })
  for await (const text of textStream) print(text)
}

async function call() {
  const { usage } = await generateText({ model, prompt: "hi", maxRetries: 0 })
  tokens += usage.totalTokens
}

await forEach(+count, +atOnce, kind === "stream" ? stream : call)
if (kind === "calls") print(`${tokens}\n`)
flush()
