// The official clients talk to our mock: node clients.mjs BASE_URL
import assert from "node:assert/strict";
import OpenAI from "openai";
import Anthropic from "@anthropic-ai/sdk";

const baseURL = process.argv[2];
const question = "What is the weather in Porto?";
const answer = "It is 21 degrees in Porto.";
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const openai = new OpenAI({ baseURL, apiKey: "key", maxRetries: 0 });
const anthropic = new Anthropic({
  baseURL: baseURL.replace(/\/v1$/, ""), apiKey: "key", maxRetries: 0,
});

async function chat() {
  const tools = [{ type: "function", function: { name: "get_weather", parameters } }];
  const messages = [{ role: "user", content: question }];
  const first = await openai.chat.completions
    .stream({ model: "mock", messages, tools, stream_options: { include_usage: true } })
    .finalChatCompletion();
  const { message, finish_reason } = first.choices[0];
  assert.equal(finish_reason, "tool_calls");
  assert.equal(message.content, "Let me look.");
  assert.deepEqual(JSON.parse(message.tool_calls[0].function.arguments), { city: "Porto" });
  assert.ok(first.usage.total_tokens > 0);
  messages.push(message,
    { role: "tool", tool_call_id: message.tool_calls[0].id, content: "21 degrees" });
  const second = await openai.chat.completions.create({ model: "mock", messages, tools });
  assert.equal(second.choices[0].message.content, answer);
  assert.equal(second.choices[0].finish_reason, "stop");
}

async function responses() {
  const tools = [{ type: "function", name: "get_weather", parameters, strict: false }];
  const input = [{ role: "user", content: question }];
  const first = await openai.responses.stream({ model: "mock", input, tools }).finalResponse();
  const call = first.output.find((item) => item.type === "function_call");
  assert.equal(first.output_text, "Let me look.");
  assert.deepEqual(JSON.parse(call.arguments), { city: "Porto" });
  input.push(...first.output,
    { type: "function_call_output", call_id: call.call_id, output: "21 degrees" });
  const stream = await openai.responses.create({ model: "mock", input, tools, stream: true });
  let text = "", last;
  for await (const event of stream) {
    if (event.type === "response.output_text.delta") text += event.delta;
    last = event;
  }
  assert.equal(text, answer);
  assert.equal(last.type, "response.completed");
  assert.ok(last.response.usage.total_tokens > 0);
  const count = await openai.responses.inputTokens.count({ model: "mock", input: question });
  assert.ok(count.input_tokens > 0);
}

async function messages() {
  const tools = [{ name: "get_weather", input_schema: parameters }];
  const history = [{ role: "user", content: question }];
  const asked = { model: "mock", max_tokens: 100, tools };
  const first = await anthropic.messages.stream({ ...asked, messages: history }).finalMessage();
  const call = first.content.find((block) => block.type === "tool_use");
  assert.equal(first.stop_reason, "tool_use");
  assert.deepEqual(call.input, { city: "Porto" });
  history.push({ role: "assistant", content: first.content }, { role: "user", content: [
    { type: "tool_result", tool_use_id: call.id, content: "21 degrees" }] });
  const stream = anthropic.messages.stream({ ...asked, messages: history });
  let text = "";
  stream.on("text", (piece) => { text += piece; });
  const second = await stream.finalMessage();
  assert.equal(text, answer);
  assert.equal(second.content[0].thinking, "The tool has told me.");
  assert.equal(second.stop_reason, "end_turn");
  assert.ok(second.usage.input_tokens > 0 && second.usage.output_tokens > 0);
  const whole = await anthropic.messages.create({ ...asked, messages: history });
  assert.equal(whole.content[1].text, answer);
  const count = await anthropic.messages.countTokens({ model: "mock", messages: history });
  assert.ok(count.input_tokens > 0);
}

// The client asks for base64 when it is not told otherwise.
async function embeddings() {
  const input = ["one", "two"];
  const found = await openai.embeddings.create({ model: "mock", input, dimensions: 16 });
  const plain = await openai.embeddings.create(
    { model: "mock", input, dimensions: 16, encoding_format: "float" });
  for (const i of [0, 1]) {
    assert.equal(found.data[i].embedding.length, 16);
    found.data[i].embedding.forEach((value, j) =>
      assert.ok(Math.abs(value - plain.data[i].embedding[j]) < 1e-6));
  }
}

async function models() {
  for await (const model of openai.models.list()) assert.equal(model.id, "mock");
  for await (const model of anthropic.models.list()) assert.equal(model.id, "mock");
}

async function failures() {
  const messages = [{ role: "user", content: question }];
  const asked = { model: "busy", messages };
  await assert.rejects(openai.chat.completions.create(asked), OpenAI.RateLimitError);
  await assert.rejects(openai.responses.create({ model: "busy", input: question, stream: true }),
    OpenAI.RateLimitError);
  await assert.rejects(openai.embeddings.create({ model: "busy", input: question }),
    OpenAI.RateLimitError);
  await assert.rejects(anthropic.messages.create({ ...asked, max_tokens: 10 }), (error) =>
    error instanceof Anthropic.RateLimitError && error.error.error.type === "rate_limit_error");
}

for (const test of [chat, responses, messages, embeddings, models, failures]) {
  await test();
  console.log(`ok - official clients: ${test.name}`);
}
