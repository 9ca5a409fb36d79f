// Compares llmrun's tokenizer with npm tiktoken, id by id, and says over how many strings:
//     npm ci && node differential.js WORKER… [seed]
// WORKER is a command that gets the name of an encoding as its last argument, reads texts from
// stdin (32-bit little-endian length, bytes) and answers each with its ids (32-bit count, ids).
// Texts: every code point in three contexts; every pair of characters that stand for the classes a
// pattern knows; random Unicode of every general category, words, white space and hostile runs.
const { spawn } = require("child_process");
const { get_encoding } = require("tiktoken");

const ENCODINGS = ["o200k_base", "cl100k_base", "p50k_base", "r50k_base"];
const worker = process.argv.slice(2).filter((word) => !/^\d+$/.test(word));
let seed = Number(process.argv.slice(2).find((word) => /^\d+$/.test(word)) || 1);

function random(n) {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return Math.floor((seed / 4294967296) * n);
}
const pick = (list) => list[random(list.length)];

const isScalar = (code) => code < 0xd800 || code > 0xdfff;

function* everyCodePoint() {
  for (let code = 0; code < 0x110000; code++) {
    if (!isScalar(code)) continue;
    const c = String.fromCodePoint(code);
    yield `a${c}b`;
    yield ` ${c}'s${c}\n${c} `;
    yield `1${c}2 ${c}${c}!${c}A`;
  }
}

const CATEGORIES = ("Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp " +
  "Cc Cf Co").split(" ");
function charactersOf(category) {
  const is = new RegExp(`\\p{${category}}`, "u");
  const found = [];
  for (let code = 0; code < 0x110000; code++) {
    if (isScalar(code) && is.test(String.fromCodePoint(code))) found.push(code);
  }
  return found;
}
const byCategory = CATEGORIES.map(charactersOf);
const randomCharacter = () => String.fromCodePoint(pick(pick(byCategory)));

const SHORT = ["a", "B", "ab", "the", " the", "'s", "'S", "'ll", "'RE", "'ſ", "1", "12", "1234", " ",
  "  ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u0085", "\ufeff", "!", "//", "_", "\u0301", "中", "文字",
  "ǅ", "ʰ", "é", "é", "😀", "👩‍👩‍👧", "Ⅷ", "²", "٣", "한국", "ไทย", "हिन्दी", "и", "Слово", "<|endoftext|>", "\0"];
function* everyTriple() {
  for (const a of SHORT) for (const b of SHORT) for (const c of SHORT) yield a + b + c;
}

const SCRIPTS = [[0x20, 0x7f], [0xa0, 0x250], [0x370, 0x530], [0x590, 0x700], [0x900, 0xe80], [0x10a0, 0x1100],
  [0x1e00, 0x2000], [0x2000, 0x2c00], [0x3000, 0x3100], [0x4e00, 0x5200], [0x4e00, 0xa000], [0xac00, 0xd7a4], [0x1f300, 0x1fb00]];
function randomWord() {
  const [low, high] = pick(SCRIPTS);
  let word = "";
  for (let n = random(pick([3, 8, 40])) + 1; n > 0; n--) {
    word += String.fromCodePoint(low + random(high - low));
  }
  return word;
}
const run = () => pick([pick(SHORT), randomCharacter()]).repeat(random(pick([4, 40, 300])));
const letters = (n) => Array.from({ length: n }, () => String.fromCharCode(97 + random(26))).join("");
const MAKERS = [randomCharacter, randomCharacter, () => pick(SHORT), () => pick(SHORT), randomWord, run,
  () => letters(random(12)), () => letters(random(400)), () => " ".repeat(random(30)), () => `${random(1e9)}`];
function* randomTexts(n) {
  for (let i = 0; i < n; i++) {
    let text = "";
    for (let parts = random(10) + 1; parts > 0; parts--) text += pick(MAKERS)();
    yield text.toWellFormed();
  }
}

class Worker {
  constructor(encoding) {
    this.child = spawn(worker[0], [...worker.slice(1), encoding], { stdio: ["pipe", "pipe", "inherit"] });
    this.chunks = this.child.stdout[Symbol.asyncIterator]();
    this.rest = Buffer.alloc(0);
  }
  async read(size) {
    while (this.rest.length < size) {
      const { value, done } = await this.chunks.next();
      if (done) throw new Error("the worker has stopped");
      this.rest = Buffer.concat([this.rest, value]);
    }
    const bytes = this.rest.subarray(0, size);
    this.rest = this.rest.subarray(size);
    return bytes;
  }
  async encode(texts) {
    const chunks = [];
    for (const text of texts) {
      const bytes = Buffer.from(text);
      const head = Buffer.alloc(4);
      head.writeUInt32LE(bytes.length);
      chunks.push(head, bytes);
    }
    this.child.stdin.write(Buffer.concat(chunks));
    const all = [];
    for (let i = 0; i < texts.length; i++) {
      const n = (await this.read(4)).readUInt32LE();
      all.push(Buffer.from(await this.read(4 * n)));
    }
    return all;
  }
}

async function compare(encoding, kind, texts) {
  const oracle = get_encoding(encoding);
  const ours = new Worker(encoding);
  let compared = 0;
  let different = 0;
  const check = async (batch) => {
    const ids = await ours.encode(batch);
    batch.forEach((text, i) => {
      compared++;
      const expected = oracle.encode(text, [], []);
      if (Buffer.from(expected.buffer, expected.byteOffset, expected.byteLength).equals(ids[i])) return;
      const got = new Uint32Array(new Uint8Array(ids[i]).buffer);
      if (++different <= 10) console.log(JSON.stringify(text), "expected", `${expected}`, "got", `${got}`);
    });
  };
  let batch = [];
  for (const text of texts) {
    if (batch.push(text) === 2000) await check(batch.splice(0));
  }
  await check(batch);
  ours.child.stdin.end();
  oracle.free();
  console.log(`${encoding} ${kind}: ${compared} strings, ${different} different`);
  return [compared, different];
}

(async () => {
  let compared = 0;
  let different = 0;
  for (const encoding of ENCODINGS) {
    const parts = [["code points", everyCodePoint()], ["triples", everyTriple()], ["random", randomTexts(100000)]];
    for (const [kind, texts] of parts) {
      const [n, bad] = await compare(encoding, kind, texts);
      compared += n;
      different += bad;
    }
  }
  console.log(`${compared} strings compared, ${different} different`);
  process.exit(different ? 1 : 0);
})();
