// A mock server of other people, for our dialects. Prints its address.
import { LLMock } from "@copilotkit/aimock";

const mock = new LLMock({ host: "127.0.0.1", port: 0, chunkSize: 5 });
mock.on({ userMessage: "weather", hasToolResult: false },
  { toolCalls: [{ name: "get_weather", arguments: { city: "Porto" } }] });
mock.on({ userMessage: "weather", hasToolResult: true }, { content: "It is 21 degrees in Porto." });
mock.on({ userMessage: "think" }, { content: "42.", reasoning: "Six by seven." });
mock.on({ userMessage: "busy" },
  { error: { message: "slow down", type: "rate_limit_error" }, status: 429 });
mock.onEmbedding(/./, { embedding: [0.5, -0.5, 0.5, 0.5] });
await mock.start();
console.log(mock.url);
