/**
 * An address space (struct mm_struct): VMAs, page tables, rss. OV-28.
 *
 * Page tables are found through *PMD slots*: every 2 MiB range that ever had a table or a huge
 * page owns a slot; `leaf[slot]` is its leaf table in PteTables (-1 none) and `pmd[slot]` its
 * PMD-level leaf word (0 none; encoding of pageTable.ts). Slots are never reused within an address
 * space, so a replay loop may hold slot numbers for as long as it likes.
 */
import { assert } from '../base/assert.ts';
import { HPAGE_PMD_NR, type Vpn } from '../base/units.ts';
import type { MmuInterval } from './mmuNotifier.ts';
import type { Vma } from './vma.ts';

/** Task size of x86-64 with four levels: 2^47 bytes, in pages. */
export const TASK_SIZE_PAGES = 2 ** 35;

export class AddressSpace {
  /** 1 to 32767: also the mm id in large folios' slots (OV-16). */
  readonly id: number;
  /** Non-overlapping, ascending. Written by mmap.ts and fork.ts only. */
  readonly vmas: Vma[] = [];

  nrSlots = 0;
  /** PMD slot -> leaf table | -1. */
  leaf: Int32Array = new Int32Array(64).fill(-1);
  /** PMD slot -> PMD leaf word, 0 = none. Invariant: leaf is -1 where this is not 0. */
  pmd: Uint32Array = new Uint32Array(64);
  pmdByte: Uint8Array = new Uint8Array(64);
  /** PMD slot -> table deposited for a later PMD split | -1. */
  deposit: Int32Array = new Int32Array(64).fill(-1);
  /** PMD slot -> first page number. */
  slotVpn: Float64Array = new Float64Array(64);
  readonly #slotOfPmd: Map<number, number> = new Map();

  /** rss in base pages, as MM_ANONPAGES ... count them (OV-55: migration entries stay counted). */
  rssAnon = 0;
  rssFile = 0;
  rssShmem = 0;
  swapEnts = 0;
  /** Base pages of hugetlb mappings, which are not part of rss. */
  hugetlbPages = 0;
  lockedVm = 0;
  /** Pages that drivers charged to this address space for pins (PM-24). */
  pinnedVm = 0;
  /** Users of this address space: tasks (CLONE_VM shares). 0 = torn down. */
  users = 1;
  dumpable = true;
  /** Bump-pointer for mmap without an address; grows downwards. */
  mmapBase: Vpn = TASK_SIZE_PAGES - 2 ** 20;
  brkStart: Vpn = 0;
  brk: Vpn = 0;
  /** MCL_FUTURE: new mappings get VM_LOCKED (and VM_LOCKONFAULT). */
  lockFutureFlags = 0;
  /** The vDSO page of the process cannot move (MP-33a, MP-67a); its node, -1 = none. */
  vdsoNid = -1;
  /** NUMA balancing: next page to scan, number of full scans, next scan time (TI-24). */
  numaScanOffset: Vpn = 0;
  numaScanSeq = 0;
  numaNextScanNs = 0;
  /** Drivers that mirror parts of it. Written by mmuNotifier.ts. */
  readonly intervals: MmuInterval[] = [];
  #lastVma = 0;

  /** Private fields, for saved states (src/state). */
  static privateFields(mm: AddressSpace): object {
    return {
      slotOfPmd: mm.#slotOfPmd,
      get lastVma() {
        return mm.#lastVma;
      },
      set lastVma(value) {
        mm.#lastVma = value;
      },
    };
  }

  constructor(id: number) {
    assert(id > 0 && id < 32768, 'at most 32767 address spaces at a time');
    this.id = id;
  }

  /** The VMA that contains `vpn`, or null. */
  findVma(vpn: Vpn): Vma | null {
    const vmas = this.vmas;
    const hint = this.#lastVma;
    if (hint < vmas.length && vpn >= vmas[hint].start && vpn < vmas[hint].end) return vmas[hint];
    const i = this.indexAtOrAfter(vpn);
    if (i === vmas.length || vmas[i].start > vpn) return null;
    this.#lastVma = i;
    return vmas[i];
  }

  /** Index of the first VMA that ends after `vpn` (find_vma); vmas.length if there is none. */
  indexAtOrAfter(vpn: Vpn): number {
    let low = 0;
    let high = this.vmas.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.vmas[middle].end > vpn) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** The PMD slot of a page, or -1 if its 2 MiB range never had one. */
  slotOf(vpn: Vpn): number {
    const slot = this.#slotOfPmd.get(Math.floor(vpn / HPAGE_PMD_NR));
    return slot === undefined ? -1 : slot;
  }

  /** The PMD slot of a page, made if needed. Replay calls this to name regions (design 3.3). */
  ensureSlot(vpn: Vpn): number {
    const pmdIndex = Math.floor(vpn / HPAGE_PMD_NR);
    const known = this.#slotOfPmd.get(pmdIndex);
    if (known !== undefined) return known;
    const slot = this.nrSlots++;
    if (slot === this.leaf.length) this.#growSlots();
    this.#slotOfPmd.set(pmdIndex, slot);
    this.slotVpn[slot] = pmdIndex * HPAGE_PMD_NR;
    return slot;
  }

  /** Index into PteTables of a page's entry, or -1 when it has no leaf table. */
  pteIndex(vpn: Vpn): number {
    const pmdIndex = Math.floor(vpn / HPAGE_PMD_NR);
    const slot = this.#slotOfPmd.get(pmdIndex);
    if (slot === undefined) return -1;
    const table = this.leaf[slot];
    return table < 0 ? -1 : table * HPAGE_PMD_NR + (vpn - pmdIndex * HPAGE_PMD_NR);
  }

  #growSlots(): void {
    const capacity = this.leaf.length * 2;
    const leaf = new Int32Array(capacity).fill(-1, this.leaf.length);
    leaf.set(this.leaf);
    const deposit = new Int32Array(capacity).fill(-1, this.deposit.length);
    deposit.set(this.deposit);
    const pmd = new Uint32Array(capacity);
    pmd.set(this.pmd);
    const pmdByte = new Uint8Array(capacity);
    pmdByte.set(this.pmdByte);
    const slotVpn = new Float64Array(capacity);
    slotVpn.set(this.slotVpn);
    this.leaf = leaf;
    this.deposit = deposit;
    this.pmd = pmd;
    this.pmdByte = pmdByte;
    this.slotVpn = slotVpn;
  }
}
