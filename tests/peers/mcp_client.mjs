// The official MCP client drives a script of ours: node mcp_client.mjs LLMRUN
import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { ResourceListChangedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";

const client = new Client({ name: "peer", version: "1.0.0" });
const transport = new StdioClientTransport({
  command: process.argv[2], args: ["mcp_server.lua"], stderr: "pipe",
});
let printed = "";
transport.stderr.on("data", (data) => (printed += data));
client.setNotificationHandler(ResourceListChangedNotificationSchema, () => {});
await client.connect(transport);

assert.deepEqual(client.getServerVersion(), { name: "toolbox", version: "2.0" });
assert.equal(client.getInstructions(), "Measure twice.");
await client.ping();

const { tools } = await client.listTools();
assert.deepEqual(tools.map((tool) => tool.name), ["add", "draw", "fail", "slow"]);
assert.deepEqual(tools[0].inputSchema.required, ["a", "b"]);

const call = (name, args, options) =>
  client.callTool({ name, arguments: args }, undefined, options);
const sum = await call("add", { a: 2, b: 3 });
assert.deepEqual(sum.structuredContent, { sum: 5 });
const wrong = await call("add", { a: "2" });
assert.equal(wrong.isError, true);
assert.match(wrong.content[0].text, /do not fit/);
const drawn = await call("draw", {});
assert.equal(drawn.content[1].mimeType, "image/png");
assert.equal(Buffer.from(drawn.content[1].data, "base64").toString(), "PNG");
assert.equal((await call("fail", {})).content[0].text, "out of paper");
await assert.rejects(call("none", {}), { code: -32602 });

const progress = [];
const slow = await call("slow", {}, { onprogress: (one) => progress.push(one.progress) });
assert.equal(slow.content[0].text, "done");
assert.deepEqual(progress, [1, 2, 3]);
const controller = new AbortController();
const aborted = call("slow", { seconds: 60 }, { signal: controller.signal });
setTimeout(() => controller.abort(), 20);
await assert.rejects(aborted);
await Promise.all(Array.from({ length: 20 }, (_, i) => call("add", { a: i, b: i })));

const { resources } = await client.listResources();
const read = await client.readResource({ uri: resources[0].uri });
assert.equal(read.contents[0].text, "readings");
const { prompts } = await client.listPrompts();
assert.equal(prompts[0].arguments[0].required, true);
const prompt = await client.getPrompt({ name: "estimate", arguments: { what: "a wall" } });
assert.equal(prompt.messages[0].content.text, "How long is a wall?");
await client.close();
assert.match(printed, /adding/);
console.log("the official MCP client: ok");
