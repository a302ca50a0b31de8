/**
 * /sys/kernel/mm/page_idle/bitmap (mm/page_idle.c: page_idle_bitmap_read, _write). HS-1..HS-7.
 *
 * One bit a PFN: bit (pfn % 64) of word (pfn / 64). What a bit does is mm's idle page tracking.
 * Order: a trailing word that the last PFN cuts is worked on, but not counted in the length.
 */
import type { Pfn } from '../base/units.ts';
import { isPageIdle, type Kernel, setPageIdle, type Task } from '../mm/index.ts';
import { EACCES, EINVAL, ENXIO } from '../uapi/errno.ts';
import { maxPfn, presentFrame } from './kpageFile.ts';
import { WORD_BYTES, type Words } from './wordFile.ts';

const WORD_BITS = 64;

/** The open bitmap. */
export class PageIdleFile {
  readonly #k: Kernel;

  constructor(k: Kernel) {
    this.#k = k;
  }

  /**
   * Reads `length` bytes from `offset`: 1 = idle since it was set. Empty at and past the last PFN.
   * Errors: -EINVAL unless both are multiples of 8 (HS-2).
   */
  read(offset: number, length: number): Words | number {
    if (isRagged(offset, length)) return -EINVAL;
    const [start, end] = pfnRange(this.#k, offset, length);
    const words = new Uint32Array(Math.max(Math.ceil((end - start) / 32), 0));
    for (let pfn = start; pfn < end; pfn++) {
      const frame = presentFrame(this.#k, pfn);
      if (frame < 0 || !isPageIdle(this.#k, frame)) continue;
      words[(pfn - start) >>> 5] |= 1 << (pfn & 31);
    }
    return words.subarray(0, 2 * Math.max(Math.floor((end - start) / WORD_BITS), 0));
  }

  /**
   * Marks the frames of the set bits idle; bits that are 0 do nothing (HS-4). Returns the bytes
   * written. Errors: -EINVAL unless offset is a multiple of 8, -ENXIO past the last PFN (HS-2).
   */
  write(offset: number, words: Words): number {
    const length = words.length * 4;
    if (isRagged(offset, length)) return -EINVAL;
    const [start, end] = pfnRange(this.#k, offset, length);
    if (start >= maxPfn(this.#k)) return -ENXIO;
    for (let pfn = start; pfn < end; pfn++) {
      if (((words[(pfn - start) >>> 5] >>> (pfn & 31)) & 1) === 0) continue;
      const frame = presentFrame(this.#k, pfn);
      if (frame >= 0) setPageIdle(this.#k, frame);
    }
    return Math.floor((end - start) / WORD_BITS) * WORD_BYTES;
  }
}

/** Mode 0600: -EACCES for anybody but root (HS-1). */
export function openPageIdle(k: Kernel, opener: Task): PageIdleFile | number {
  return opener.euid === 0 ? new PageIdleFile(k) : -EACCES;
}

function isRagged(offset: number, length: number): boolean {
  return offset % WORD_BYTES !== 0 || length % WORD_BYTES !== 0;
}

function pfnRange(k: Kernel, offset: number, length: number): readonly [Pfn, Pfn] {
  const start = (offset / WORD_BYTES) * WORD_BITS;
  return [start, Math.min(start + length * 8, maxPfn(k))];
}
