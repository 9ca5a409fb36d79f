// Standard output with a 4 kB buffer, as C and Lua programs have it: without it each delta is a
// system call, and the comparison would be one of buffers.
import { writeSync } from "node:fs"

let waiting = ""

export function print(text) {
  waiting += text
  if (waiting.length >= 4096) flush()
}

export function flush() {
  if (waiting) writeSync(1, waiting)
  waiting = ""
}

// Runs work(i) for i in 1..count, at most atOnce at a time.
export async function forEach(count, atOnce, work) {
  let next = 1
  const worker = async () => {
    while (next <= count) await work(next++)
  }
  await Promise.all(Array.from({ length: Math.min(count, atOnce) }, worker))
}
