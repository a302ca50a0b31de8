/**
 * The distinct pages of the chunk being written: a hash from (process, VPN) to a number in order
 * of first appearance, sorted when the chunk closes.
 *
 * The key is `pid * 2^40 + vpn`, exact in a double. As bytes, the sorted dictionary is a list of
 * processes (index, number of pages, then the first VPN and the distances between the others).
 */
import type { ByteReader, ByteWriter } from './bytes.ts';
import { OutOfBytes } from './bytes.ts';
import { CHUNK_PAGES_MAX, PROCESSES_MAX, VPN_MAX } from './layout.ts';
import type { RegionTable } from './regionTable.ts';
import { REGION_PAGES, REGION_SHIFT } from './source.ts';

const SLOTS = CHUNK_PAGES_MAX * 4;

export class PageDictionary {
  /** number in order of appearance -> key */
  readonly #keys = new Float64Array(CHUNK_PAGES_MAX);
  count = 0;
  // hash slot -> number + 1 | 0
  readonly #slots = new Uint16Array(SLOTS);

  clear(): void {
    this.count = 0;
    this.#slots.fill(0);
  }

  /** The number of the page; -1 when it is not there. */
  find(pid: number, vpn: number): number {
    return this.#slots[this.#slotOf(pid * VPN_MAX + vpn, vpn)]! - 1;
  }

  /** The number of the page, a new one the first time. Preconditions: count < CHUNK_PAGES_MAX. */
  add(pid: number, vpn: number): number {
    const key = pid * VPN_MAX + vpn;
    const slot = this.#slotOf(key, vpn);
    const found = this.#slots[slot]!;
    if (found !== 0) return found - 1;
    this.#keys[this.count++] = key;
    this.#slots[slot] = this.count;
    return this.count - 1;
  }

  #slotOf(key: number, vpn: number): number {
    let slot = Math.imul((vpn % 4294967296) | 0, 0x9e3779b1);
    slot = (slot ^ (slot >>> 15)) & (SLOTS - 1);
    for (;;) {
      const number = this.#slots[slot]!;
      if (number === 0 || this.#keys[number - 1] === key) return slot;
      slot = (slot + 1) & (SLOTS - 1);
    }
  }

  /** Appends the sorted dictionary to `out`; the result maps numbers to sorted indices. */
  writeSorted(out: ByteWriter): Uint16Array {
    const keys = this.#keys.slice(0, this.count).sort();
    const indexOf = new Uint16Array(this.count);
    for (let index = 0; index < this.count; index++) {
      const pid = Math.floor(keys[index]! / VPN_MAX);
      indexOf[this.find(pid, keys[index]! - pid * VPN_MAX)] = index;
    }
    for (let start = 0; start < this.count; ) {
      const pid = Math.floor(keys[start]! / VPN_MAX);
      let end = start;
      while (end < this.count && keys[end]! < (pid + 1) * VPN_MAX) end++;
      out.varint(pid);
      out.varint(end - start);
      let next = pid * VPN_MAX;
      for (; start < end; start++) {
        out.varint(keys[start]! - next);
        next = keys[start]! + 1;
      }
    }
    return indexOf;
  }
}

/**
 * Reads a sorted dictionary into `wordOf`: index -> `regionIndex << 10 | pageInRegion << 1`, with
 * the regions of each process from `regionsOf(pid)`. Returns the number of pages.
 * Errors: OutOfBytes.
 */
export function readDictionary(
  from: ByteReader,
  wordOf: Uint32Array,
  regionsOf: (pid: number) => RegionTable,
): number {
  let index = 0;
  while (!from.isAtEnd) {
    const pid = from.varint();
    const end = index + from.varint();
    if (end > CHUNK_PAGES_MAX) throw new OutOfBytes('too many pages in a dictionary');
    if (pid >= PROCESSES_MAX) throw new OutOfBytes('too many processes');
    index = readPages(from, wordOf, index, end, regionsOf(pid));
  }
  return index;
}

/** Pages ascend, so a region is looked up once however many of its pages there are. */
function readPages(
  from: ByteReader,
  wordOf: Uint32Array,
  start: number,
  end: number,
  regions: RegionTable,
): number {
  let regionStart = -REGION_PAGES;
  let word = 0;
  // pages from regionStart to the next page that may come
  let next = REGION_PAGES;
  const bytes = from.bytes;
  let at = from.at;
  for (let index = start; index < end; index++) {
    // nearly all distances are one byte; a missing one goes the slow way, which reports it
    const byte = at < bytes.length ? bytes[at]! : 0x80;
    let page = next + byte;
    if (byte < 0x80) {
      at++;
    } else {
      from.at = at;
      page = next + from.varint();
      at = from.at;
    }
    if (page >= REGION_PAGES) {
      const vpn = regionStart + page;
      if (vpn >= VPN_MAX) throw new OutOfBytes('page number too large');
      page = vpn % REGION_PAGES;
      regionStart = vpn - page;
      word = (regions.indexOf(vpn) << REGION_SHIFT) >>> 0;
    }
    wordOf[index] = word + page * 2;
    next = page + 1;
  }
  from.at = at;
  return end;
}
