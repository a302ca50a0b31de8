/**
 * The process in which tests meet mutants. Started with a folder of transpiled tests, it tells its
 * parent which mutants each test reaches, then, for each mutant it is asked about, whether a test
 * fails. A mutant that never ends is noticed by a budget of questions, or by the parent's patience.
 */
import { join } from 'node:path';

/** @typedef {{ name: string, run: () => unknown, ms: number }} Run */
/** @typedef {Run & { reached: number[], asks: number }} Timed */

let active = -1;
let asked = 0;
let budget = Number.POSITIVE_INFINITY;
/** @type {Set<number> | null} */
let reached = null;

Object.assign(globalThis, {
  hetmemMutant: (/** @type {number} */ id) => {
    reached?.add(id);
    if (++asked > budget) throw new Error('this does not end');
    return id === active;
  },
});

/** A mutant may ask so many times more often than the original before it is taken for endless. */
const PATIENCE = 20;
const ASKS_MIN = 100_000;

const [folder, ...files] = process.argv.slice(2);
const tests = await collect();
process.send?.({ tests: tests.map(({ name, reached: ids }) => ({ name, reached: ids })) });
process.on('message', async (/** @type {{ mutant: number }} */ { mutant }) => {
  process.send?.({ mutant, killer: await killerOf(mutant) });
});

async function collect() {
  /** @type {any} */
  const shared = globalThis;
  for (const file of files) {
    shared.hetmemNextFile?.();
    await import(join(folder, file));
  }
  /** @type {Timed[]} */
  const timed = [];
  for (const { name, run } of shared.hetmemTests) {
    reached = new Set();
    asked = 0;
    const start = performance.now();
    try {
      await run();
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      process.send?.({ broken: name, why });
      continue;
    }
    timed.push({ name, run, ms: performance.now() - start, reached: [...reached], asks: asked });
  }
  reached = null;
  return timed.sort((a, b) => a.ms - b.ms);
}

/**
 * The first test that fails with this mutant, or null.
 * @param {number} mutant
 */
async function killerOf(mutant) {
  for (const one of tests) {
    if (!one.reached.includes(mutant)) continue;
    process.send?.({ alive: true });
    active = mutant;
    asked = 0;
    budget = Math.max(ASKS_MIN, one.asks * PATIENCE);
    try {
      await one.run();
    } catch {
      return one.name;
    } finally {
      active = -1;
    }
  }
  return null;
}
