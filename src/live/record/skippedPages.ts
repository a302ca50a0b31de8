/**
 * What is kept of the accesses that are skipped (`--skip`): the first touch and the first write of
 * each page, so that a replay starts with the memory that the program had built by then.
 *
 * Without it, a page that was written while skipping and only read afterwards would be the zero
 * page in a replay. A page counts as untouched again when its mapping goes (munmap and its like),
 * and as unwritten after a fork: the next write breaks the sharing.
 */

import { PAGE_SIZE } from '../../base/units.ts';
import type { TraceEvent } from '../../trace/index.ts';
import { MADV_DONTNEED, MADV_FREE, MADV_REMOVE, MAP_FIXED } from '../../uapi/index.ts';

const REGION_PAGES = 512;
const REGION_WORDS = REGION_PAGES / 32;

/** A region's bits: touched in the first half, written in the second. */
type Regions = Map<number, Uint32Array>;

export class SkippedPages {
  /** By process index. */
  readonly #regions: Regions[] = [];
  readonly #break: number[] = [];

  /**
   * Keeps of `count` accesses those that are the first of their page or its first write, in place;
   * returns how many.
   */
  keep(pid: number, count: number, vpn: Float64Array, lineWrite: Uint8Array): number {
    const regions = this.#of(pid);
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const page = vpn[i]!;
      const write = lineWrite[i]! & 1;
      if (!isNew(regions, page, write)) continue;
      vpn[kept] = page;
      lineWrite[kept++] = lineWrite[i]!;
    }
    return kept;
  }

  /** Follows an event that was recorded while skipping. */
  event(event: TraceEvent): void {
    switch (event.kind) {
      case 'munmap':
        if (event.result === 0) this.#forget(event.pid, event.addr, event.len);
        break;
      case 'mmap':
        if (event.result > 0 && (event.flags & MAP_FIXED) !== 0) {
          this.#forget(event.pid, event.result, event.len);
        }
        break;
      case 'mremap':
        if (event.result > 0) this.#forget(event.pid, event.addr, event.oldLen);
        break;
      case 'madvise':
        if ([MADV_DONTNEED, MADV_FREE, MADV_REMOVE].includes(event.advice)) {
          this.#forget(event.pid, event.addr, event.len);
        }
        break;
      case 'brk': {
        const before = this.#break[event.pid] ?? event.result;
        if (event.result < before) this.#forget(event.pid, event.result, before - event.result);
        this.#break[event.pid] = event.result;
        break;
      }
      case 'fork':
        this.#fork(event.pid, event.child);
    }
  }

  #of(pid: number): Regions {
    while (this.#regions.length <= pid) this.#regions.push(new Map());
    return this.#regions[pid]!;
  }

  #forget(pid: number, addr: number, len: number): void {
    const regions = this.#of(pid);
    const first = Math.ceil(addr / PAGE_SIZE);
    const end = Math.ceil((addr + len) / PAGE_SIZE);
    for (let page = first; page < end; ) {
      const number = Math.floor(page / REGION_PAGES);
      const regionEnd = (number + 1) * REGION_PAGES;
      const bits = regions.get(number);
      if (bits !== undefined && page % REGION_PAGES === 0 && regionEnd <= end) {
        regions.delete(number);
      } else if (bits !== undefined) {
        for (let p = page; p < Math.min(end, regionEnd); p++) {
          const index = p % REGION_PAGES;
          bits[index >>> 5]! &= ~(1 << (index & 31));
          bits[REGION_WORDS + (index >>> 5)]! &= ~(1 << (index & 31));
        }
      }
      page = regionEnd;
    }
  }

  #fork(parent: number, child: number): void {
    const of = this.#of(parent);
    const copy = this.#of(child);
    for (const [number, bits] of of) {
      bits.fill(0, REGION_WORDS);
      copy.set(number, bits.slice());
    }
    const programBreak = this.#break[parent];
    if (programBreak !== undefined) this.#break[child] = programBreak;
  }
}

function isNew(regions: Regions, page: number, write: number): boolean {
  const number = Math.floor(page / REGION_PAGES);
  let bits = regions.get(number);
  if (bits === undefined) {
    bits = new Uint32Array(2 * REGION_WORDS);
    regions.set(number, bits);
  }
  const index = page - number * REGION_PAGES;
  const word = index >>> 5;
  const bit = 1 << (index & 31);
  const isFirst = (bits[word]! & bit) === 0;
  const isFirstWrite = write !== 0 && (bits[REGION_WORDS + word]! & bit) === 0;
  bits[word]! |= bit;
  if (write !== 0) bits[REGION_WORDS + word]! |= bit;
  return isFirst || isFirstWrite;
}
