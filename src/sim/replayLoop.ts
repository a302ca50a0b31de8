/**
 * The replay loop: what the hardware does for each access that missed the caches. Walk the page
 * table, set accessed and dirty, count the access for the node that serves it (design 3.3).
 *
 * It leaves only for what is rare: an entry that does not allow the access, or a countdown that
 * ran out (a sample, the end of the batch). No closure, allocation, bigint or virtual call per
 * run; all state is typed arrays handed over once per batch.
 *
 * Order of a run: region -> PMD slot -> leaf table or PMD leaf -> entry -> node.
 */
import type { AddressSpace, Kernel } from '../mm/index.ts';
import { PTE_FAST } from '../mm/index.ts';

/** Why the loop stopped. */
export const STOP_DONE = 0;
/** The entry of run `at` does not allow the access: handle a fault, then go on with it. */
export const STOP_FAULT = 1;
/** At least `limit` accesses are done: `at` is the first run not replayed. */
export const STOP_LIMIT = 2;

/** Where a batch stands; one object for the whole run. */
export class ReplayBatch {
  /** Next run to replay. */
  at = 0;
  /** Accesses replayed in this call. */
  accesses = 0;
  /** Accesses by node and kind since the caller cleared them: nid * 2 + write. */
  readonly counts: Int32Array = new Int32Array(64);
}

/**
 * Replays runs [batch.at, end) of `page`/`weight` in `mm`; `slotOfRegion` maps the trace's region
 * numbers to PMD slots. Stops after the run in which `limit` accesses are reached.
 */
export function replayRuns(
  k: Kernel,
  mm: AddressSpace,
  slotOfRegion: Int32Array,
  page: Uint32Array,
  weight: Uint16Array,
  end: number,
  limit: number,
  batch: ReplayBatch,
): number {
  const words = k.ptes.words;
  const nidOfBlock = k.pm.blocks.nidOfBlock;
  const leaf = mm.leaf;
  const pmd = mm.pmd;
  const counts = batch.counts;
  let i = batch.at;
  let accesses = 0;
  // Four runs at a time while all four find every bit set that they would set: their look-ups do
  // not wait for each other and nothing is stored. A group that needs more goes run by run.
  const groupEnd = end - 4;
  for (;;) {
    while (i <= groupEnd) {
      const w0 = page[i];
      const w1 = page[i + 1];
      const w2 = page[i + 2];
      const w3 = page[i + 3];
      const t0 = leaf[slotOfRegion[w0 >>> 10]];
      const t1 = leaf[slotOfRegion[w1 >>> 10]];
      const t2 = leaf[slotOfRegion[w2 >>> 10]];
      const t3 = leaf[slotOfRegion[w3 >>> 10]];
      if ((t0 | t1 | t2 | t3) < 0) break;
      const a0 = (t0 << 9) | ((w0 >>> 1) & 511);
      const a1 = (t1 << 9) | ((w1 >>> 1) & 511);
      const a2 = (t2 << 9) | ((w2 >>> 1) & 511);
      const a3 = (t3 << 9) | ((w3 >>> 1) & 511);
      const e0 = words[a0];
      const e1 = words[a1];
      const e2 = words[a2];
      const e3 = words[a3];
      // Bits an access needs and leaves set: FAST and A, and W and D for a write (0xf), else 0x3.
      const s0 = 3 | (-(w0 & 1) & 12);
      const s1 = 3 | (-(w1 & 1) & 12);
      const s2 = 3 | (-(w2 & 1) & 12);
      const s3 = 3 | (-(w3 & 1) & 12);
      if ((s0 & ~e0) | (s1 & ~e1) | (s2 & ~e2) | (s3 & ~e3)) break;
      const n0 = weight[i];
      const n1 = weight[i + 1];
      const n2 = weight[i + 2];
      const n3 = weight[i + 3];
      counts[(nidOfBlock[e0 >>> 13] << 1) | (w0 & 1)] += n0;
      counts[(nidOfBlock[e1 >>> 13] << 1) | (w1 & 1)] += n1;
      counts[(nidOfBlock[e2 >>> 13] << 1) | (w2 & 1)] += n2;
      counts[(nidOfBlock[e3 >>> 13] << 1) | (w3 & 1)] += n3;
      accesses += n0 + n1 + n2 + n3;
      i += 4;
      if (accesses >= limit) {
        batch.at = i;
        batch.accesses = accesses;
        return STOP_LIMIT;
      }
    }
    if (i >= end) break;
    const word = page[i];
    const slot = slotOfRegion[word >>> 10];
    const write = word & 1;
    const need = PTE_FAST | (write << 3);
    const set = 2 | (write << 2);
    const table = leaf[slot];
    let entry: number;
    if (table >= 0) {
      const at = (table << 9) | ((word >>> 1) & 511);
      entry = words[at];
      if ((entry & need) !== need) return stopAt(batch, i, accesses, STOP_FAULT);
      words[at] = entry | set;
    } else {
      entry = pmd[slot];
      if ((entry & need) !== need) return stopAt(batch, i, accesses, STOP_FAULT);
      pmd[slot] = entry | set;
    }
    const n = weight[i];
    counts[(nidOfBlock[entry >>> 13] << 1) | write] += n;
    accesses += n;
    i++;
    if (accesses >= limit) return stopAt(batch, i, accesses, STOP_LIMIT);
  }
  return stopAt(batch, i, accesses, STOP_DONE);
}

function stopAt(batch: ReplayBatch, at: number, accesses: number, stop: number): number {
  batch.at = at;
  batch.accesses = accesses;
  return stop;
}
