// Writes spec/fixtures/tokens/*.jsonl: texts and their ids as npm tiktoken makes them, one a line.
//     npm ci && node fixtures.js
const fs = require("fs");
const path = require("path");
const { get_encoding } = require("tiktoken");

const TEXTS = [
  "", " ", "  ", "\n", "\r\n\r\n", " \n ", "hello world", "Hello, World!  How are you?\n",
  "I'd've don'T we'RE they'll 'sure it'ſ x's9 'S 'LL", "HTTPServer parseJSONResponse iPhone XMLHttpRequest2",
  "1 12 123 1234 1234567 3.14159e-10 ٣٤٥ Ⅷ²³½", "for (int i = 0; i < n; i++) {\n\t\tx[i] += 1; // done\n}\n\n\n",
  "{\"a\": [1, 2.5, null, true], \"b\": {\"c\": \"d\\n\"}}", "   indented\n\t\ttabs\n        eight   \n  \n",
  "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。", "中文ABC中文abc，12中3", "日本語のテキスト、カタカナとひらがな。", "한국어 문장입니다.",
  "Привет, мир! Ещё раз.", "مرحبا بالعالم", "शुभ प्रभात दुनिया", "สวัสดีชาวโลก", "Ελληνικά ΚΑΙ ελληνικά", "ǅǈ ʰx ªº ﬁ",
  "👩‍👩‍👧‍👦 😀😃 ✨!! 🇩🇪", "e\u0301 \u0301a !\u0301 A\u0301B \u0301\u0301", "\u0085x\u00a0y\u3000z\ufeffw\u2028v", "a\u0000b\u0001",
  "-----------|=====// ///\n/\n", "http://example.com/a/b?c=d&e=%20f#g", "<|endoftext|> <|start|>user<|message|>",
  "x".repeat(100), " ".repeat(200) + "x", "\n".repeat(50), "^".repeat(77), "ab ".repeat(30), "zqxjkvbpygfwmucldrhsnioate".repeat(5),
  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "antidisestablishmentarianism supercalifragilisticexpialidocious",
  "the the The THE tHe 'tis 'TWAS o'clock rock'n'roll", "a".repeat(13) + " " + "b".repeat(14) + " " + "é".repeat(20),
];

for (const name of ["o200k_base", "cl100k_base", "p50k_base", "r50k_base"]) {
  const encoding = get_encoding(name);
  const lines = TEXTS.map((text) => JSON.stringify({
    text_b64: Buffer.from(text).toString("base64"),
    ids: [...encoding.encode(text, [], [])],
  }));
  fs.writeFileSync(path.join(__dirname, `../../../spec/fixtures/tokens/${name}.jsonl`), lines.join("\n") + "\n");
  encoding.free();
}
