/** The accesses that replay benches play, and the C loop (bench/replay.c) that plays them, too. */
import { spawnSync } from 'node:child_process';
import { RandomStream } from '../../src/base/prng.ts';
import { cProgram, NO_GCC } from './cProgram.ts';

/** Runs of one round. */
export const RUNS: number = 1 << 22;

/** Page words: scrambled zipf 0.99 (by inversion of the cumulative weights) or uniform. */
export function pageWords(pages: number, zipf: boolean): Uint32Array {
  const random = new RandomStream(7, `replay ${pages} ${zipf}`);
  const words = new Uint32Array(RUNS);
  const cumulative = zipf ? new Float64Array(pages) : null;
  let sum = 0;
  if (cumulative !== null) {
    for (let rank = 0; rank < pages; rank++) {
      sum += 1 / (rank + 1) ** 0.99;
      cumulative[rank] = sum;
    }
  }
  for (let i = 0; i < RUNS; i++) {
    let page = random.below(pages);
    if (cumulative !== null) {
      const target = random.unit() * sum;
      let low = 0;
      let high = pages - 1;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (cumulative[middle] < target) low = middle + 1;
        else high = middle;
      }
      page = (Math.imul(low, 0x9e3779b1) >>> 0) % pages;
    }
    words[i] = ((page << 1) | (random.below(4) === 0 ? 1 : 0)) >>> 0;
  }
  return words;
}

/** What figures are compared with: accesses/s of the C loop, -O3. */
export function cLoop(pages: number, words: Uint32Array): { what: string; value: number | null } {
  const program = cProgram('replay', ['-O3']);
  if (program === null) return { what: NO_GCC, value: null };
  const input = Buffer.from(words.buffer);
  const run = spawnSync(program, [String(pages), String(words.length)], {
    input,
    encoding: 'utf8',
  });
  if (run.status !== 0) throw new Error(`C loop: exit ${run.status}`);
  return { what: 'C loop, gcc -O3', value: words.length / Number(run.stdout) };
}
