// Encodes the second half of each file after its first half, in one process a peer, all in turn,
// three times:
//     npm ci && LUA_CPATH=../../../build/lua/5.4/?.so node bench.js ENCODE FILES…
// ENCODE is encode.c, built. Medians, in megabytes of UTF-8 a second of processor time; hostile
// texts come last.
const { execFileSync } = require("child_process");
const fs = require("fs");
const os = require("os");
const path = require("path");

const ENCODINGS = ["o200k_base", "cl100k_base"];
const WORKER = path.join(__dirname, "worker.lua");
const PEERS = {
  tiktoken: (name) => {
    const encoding = require("tiktoken").get_encoding(name);
    return (text) => encoding.encode(text, [], []);
  },
  "gpt-tokenizer": (name) => {
    const { encode } = require(`gpt-tokenizer/cjs/encoding/${name}`);
    return (text) => encode(text, { disallowedSpecial: new Set() });
  },
  "ai-tokenizer": (name) => {
    const { default: Tokenizer } = require("ai-tokenizer");
    const tokenizer = new Tokenizer(require("ai-tokenizer/encoding")[name]);
    return (text) => tokenizer.encode(text, undefined, []);
  },
  tokenx: () => require("tokenx").estimateTokenCount,
};

function speedOf(encode, text) {
  const before = process.cpuUsage();
  encode(text);
  const { user, system } = process.cpuUsage(before);
  return Buffer.byteLength(text) / (user + system);
}

// Runs in a process of its own: node bench.js --peer NAME ENCODING FILE MOST
function peer(name, encoding, file, most) {
  const text = fs.readFileSync(file, "utf8");
  const middle = text.length >> 1;
  const encode = PEERS[name](encoding);
  encode(text.slice(Math.max(0, middle - most), middle));
  console.log(speedOf(encode, text.slice(middle, middle + most)));
}

function run(command, ...args) {
  try {
    return execFileSync(command, args, { timeout: 120000, stdio: ["ignore", "pipe", "ignore"] }).toString().trim();
  } catch {
    return "NaN";
  }
}

const shown = (speed) => Number(speed).toFixed(1).padStart(9);

const median = (numbers) => numbers.sort((a, b) => a - b)[numbers.length >> 1];

function compare(encoding, file, most) {
  const rounds = Array.from({ length: 3 }, () => [
    ...run(process.argv[2], encoding, file).split(/\s+/).map(Number),
    ...run("lua5.4", WORKER, "time", file, encoding).split(/\s+/).slice(0, 3).map(Number),
    ...Object.keys(PEERS).map((name) => Number(run(process.execPath, __filename, "--peer", name, encoding, file, most))),
  ]);
  const speeds = rounds[0].map((_, i) => median(rounds.map((round) => round[i])));
  const [first, warm] = speeds;
  const tiktoken = speeds[7];
  console.log(encoding.padEnd(11), path.basename(file).padEnd(12), speeds.map(shown).join(""),
    ` x${(warm / tiktoken).toFixed(1)}, first x${(first / tiktoken).toFixed(1)} of tiktoken`);
}

function hostile(folder) {
  const letters = Array.from({ length: 2e6 }, () => String.fromCharCode(97 + Math.random() * 26)).join("");
  const texts = { letter: "x".repeat(2e6), spaces: " ".repeat(2e6), newlines: "\n".repeat(2e6), carets: "^".repeat(2e6), random: letters };
  return Object.entries(texts).map(([name, text]) => {
    const file = path.join(folder, name);
    fs.writeFileSync(file, text);
    return file;
  });
}

if (process.argv[2] === "--peer") {
  peer(...process.argv.slice(3, 6), Number(process.argv[6]));
} else {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "tokens-"));
  console.log(" ".repeat(24), ["first", "warm", "count", "estimate", "Lua 1st", "Lua warm", "L. count", ...Object.keys(PEERS)].map((s) => s.slice(0, 8).padStart(9)).join(""));
  for (const encoding of ENCODINGS) {
    for (const file of process.argv.slice(3)) compare(encoding, file, 1e9);
    for (const file of hostile(folder)) compare(encoding, file, 20000); // peers are quadratic
  }
  fs.rmSync(folder, { recursive: true });
}
