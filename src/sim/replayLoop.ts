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
  /**
   * If set: run of this call (from 0) -> the frame that served it. As long as the longest call;
   * tells who counts every access where it went.
   */
  served: Int32Array | null = null;
  /** If set: (region of the trace << nodeBits) | nid that served -> accesses, which are added. */
  ofRegion: Int32Array | null = null;
  nodeBits = 0;
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
  const served = batch.served;
  const ofRegion = batch.ofRegion;
  const nodeBits = batch.nodeBits;
  const start = batch.at;
  let i = start;
  let accesses = 0;
  // Eight runs at a time while all of them find every bit set that they would set: their look-ups
  // do not wait for each other and nothing is stored. A group that needs more goes run by run.
  // Needed and set are FAST and A, and for a write W and D as well: 3 | 12.
  const groupEnd = end - 8;
  for (;;) {
    while (i <= groupEnd) {
      const w0 = page[i + 0];
      const w1 = page[i + 1];
      const w2 = page[i + 2];
      const w3 = page[i + 3];
      const w4 = page[i + 4];
      const w5 = page[i + 5];
      const w6 = page[i + 6];
      const w7 = page[i + 7];
      const t0 = leaf[slotOfRegion[w0 >>> 10]];
      const t1 = leaf[slotOfRegion[w1 >>> 10]];
      const t2 = leaf[slotOfRegion[w2 >>> 10]];
      const t3 = leaf[slotOfRegion[w3 >>> 10]];
      const t4 = leaf[slotOfRegion[w4 >>> 10]];
      const t5 = leaf[slotOfRegion[w5 >>> 10]];
      const t6 = leaf[slotOfRegion[w6 >>> 10]];
      const t7 = leaf[slotOfRegion[w7 >>> 10]];
      if ((t0 | t1 | t2 | t3 | t4 | t5 | t6 | t7) < 0) break;
      const e0 = words[(t0 << 9) | ((w0 >>> 1) & 511)];
      const e1 = words[(t1 << 9) | ((w1 >>> 1) & 511)];
      const e2 = words[(t2 << 9) | ((w2 >>> 1) & 511)];
      const e3 = words[(t3 << 9) | ((w3 >>> 1) & 511)];
      const e4 = words[(t4 << 9) | ((w4 >>> 1) & 511)];
      const e5 = words[(t5 << 9) | ((w5 >>> 1) & 511)];
      const e6 = words[(t6 << 9) | ((w6 >>> 1) & 511)];
      const e7 = words[(t7 << 9) | ((w7 >>> 1) & 511)];
      if (
        (((3 | (-(w0 & 1) & 12)) & ~e0) |
          ((3 | (-(w1 & 1) & 12)) & ~e1) |
          ((3 | (-(w2 & 1) & 12)) & ~e2) |
          ((3 | (-(w3 & 1) & 12)) & ~e3) |
          ((3 | (-(w4 & 1) & 12)) & ~e4) |
          ((3 | (-(w5 & 1) & 12)) & ~e5) |
          ((3 | (-(w6 & 1) & 12)) & ~e6) |
          ((3 | (-(w7 & 1) & 12)) & ~e7)) !==
        0
      )
        break;
      const n0 = weight[i + 0];
      const n1 = weight[i + 1];
      const n2 = weight[i + 2];
      const n3 = weight[i + 3];
      const n4 = weight[i + 4];
      const n5 = weight[i + 5];
      const n6 = weight[i + 6];
      const n7 = weight[i + 7];
      const nid0 = nidOfBlock[e0 >>> 13];
      counts[(nid0 << 1) | (w0 & 1)] += n0;
      const nid1 = nidOfBlock[e1 >>> 13];
      counts[(nid1 << 1) | (w1 & 1)] += n1;
      const nid2 = nidOfBlock[e2 >>> 13];
      counts[(nid2 << 1) | (w2 & 1)] += n2;
      const nid3 = nidOfBlock[e3 >>> 13];
      counts[(nid3 << 1) | (w3 & 1)] += n3;
      const nid4 = nidOfBlock[e4 >>> 13];
      counts[(nid4 << 1) | (w4 & 1)] += n4;
      const nid5 = nidOfBlock[e5 >>> 13];
      counts[(nid5 << 1) | (w5 & 1)] += n5;
      const nid6 = nidOfBlock[e6 >>> 13];
      counts[(nid6 << 1) | (w6 & 1)] += n6;
      const nid7 = nidOfBlock[e7 >>> 13];
      counts[(nid7 << 1) | (w7 & 1)] += n7;
      if (served !== null) {
        served[i - start + 0] = e0 >>> 4;
        served[i - start + 1] = e1 >>> 4;
        served[i - start + 2] = e2 >>> 4;
        served[i - start + 3] = e3 >>> 4;
        served[i - start + 4] = e4 >>> 4;
        served[i - start + 5] = e5 >>> 4;
        served[i - start + 6] = e6 >>> 4;
        served[i - start + 7] = e7 >>> 4;
      }
      if (ofRegion !== null) {
        ofRegion[((w0 >>> 10) << nodeBits) | nid0] += n0;
        ofRegion[((w1 >>> 10) << nodeBits) | nid1] += n1;
        ofRegion[((w2 >>> 10) << nodeBits) | nid2] += n2;
        ofRegion[((w3 >>> 10) << nodeBits) | nid3] += n3;
        ofRegion[((w4 >>> 10) << nodeBits) | nid4] += n4;
        ofRegion[((w5 >>> 10) << nodeBits) | nid5] += n5;
        ofRegion[((w6 >>> 10) << nodeBits) | nid6] += n6;
        ofRegion[((w7 >>> 10) << nodeBits) | nid7] += n7;
      }
      accesses += n0 + n1 + n2 + n3 + n4 + n5 + n6 + n7;
      i += 8;
      if (accesses >= limit) return stopAt(batch, i, accesses, STOP_LIMIT);
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
    if (served !== null) {
      served[i - start] = (entry >>> 4) + (table >= 0 ? 0 : (word >>> 1) & 511);
    }
    const n = weight[i];
    const nid = nidOfBlock[entry >>> 13];
    if (ofRegion !== null) ofRegion[((word >>> 10) << nodeBits) | nid] += n;
    counts[(nid << 1) | write] += n;
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
