/**
 * What smaps counts of an area (fs/proc/task_mmu.c: smaps_account, smaps_pte_entry,
 * smaps_pmd_entry). Rows are in bytes; Pss rows in bytes << PSS_SHIFT until printed.
 *
 * Not modelled: shared page tables of hugetlb; whether a folio counts as shared is asked of
 * each page (CONFIG_PAGE_MAPCOUNT).
 */
import { type FrameId, HPAGE_PMD_NR, PAGE_SIZE, type Vpn } from '../base/units.ts';
import {
  type Kernel,
  PAGE_SPECIAL,
  PAGE_ZERO,
  PG_DIRTY,
  PG_REFERENCED,
  PG_SWAPBACKED,
  PG_YOUNG,
  PTE_KIND_DEVICE_EXCLUSIVE,
  PTE_KIND_DEVICE_PRIVATE,
  PTE_KIND_MIGRATION,
  PTE_KIND_SWAP,
  presentPage,
  pteIsDirty,
  pteIsPresent,
  pteIsYoung,
  pteKind,
  ptePayload,
  VM_HUGETLB,
  VM_LOCKED,
  type Vma,
} from '../mm/index.ts';
import { walkVmaEntries } from './vmaEntries.ts';

/** Fixed-point fraction of Pss, as in Linux. */
const PSS_ONE = 4096;

/** Rows of smaps by name -> bytes. */
export type SmapsRows = Map<string, number>;

/** Adds what the area has to `rows`; Pss rows are kept with 12 bits of fraction. */
export function countSmaps(k: Kernel, vma: Vma, rows: SmapsRows): void {
  const counter = new SmapsCounter(k, vma, rows);
  walkVmaEntries(k, vma, counter);
}

class SmapsCounter {
  readonly #k: Kernel;
  readonly #vma: Vma;
  readonly #rows: SmapsRows;

  constructor(k: Kernel, vma: Vma, rows: SmapsRows) {
    this.#k = k;
    this.#vma = vma;
    this.#rows = rows;
  }

  #add(row: string, bytes: number): void {
    this.#rows.set(row, (this.#rows.get(row) ?? 0) + bytes);
  }

  /** Pages of a shmem file that were swapped out stand in no page table. */
  hole(start: Vpn, end: Vpn): void {
    const file = this.#vma.file;
    if (file === null || !file.isShmem()) return;
    for (let vpn = start; vpn < end; vpn++) {
      if ((file.pages.get(this.#vma.indexOf(vpn)) ?? 0) < 0) this.#add('Swap', PAGE_SIZE);
    }
  }

  entry(word: number, byte: number, _vpn: Vpn, nr: number): void {
    const k = this.#k;
    if (this.#vma.has(VM_HUGETLB)) {
      this.#hugetlb(word, nr);
      return;
    }
    if (!pteIsPresent(word)) {
      this.#absent(word, nr);
      return;
    }
    const page = presentPage(k, word, byte);
    if (page === PAGE_ZERO || page === PAGE_SPECIAL) return;
    const young = pteIsYoung(word, byte);
    const dirty = pteIsDirty(word, byte);
    for (let i = 0; i < nr; i++) {
      this.#account(page + i, young, dirty, k.folios.pageMapcount(page + i));
    }
    // smaps_pmd_entry passes over device memory.
    const isRam = !k.pm.isZoneDevice(page);
    if (nr === HPAGE_PMD_NR && isRam)
      this.#add(this.#hugeRow(k.frames.headOf(page)), nr * PAGE_SIZE);
  }

  /** smaps_hugetlb_range: counted apart from Rss; one in migration as shared. */
  #hugetlb(word: number, nr: number): void {
    const isPresent = pteIsPresent(word);
    if (!isPresent && pteKind(word) !== PTE_KIND_MIGRATION) return;
    const head = this.#k.frames.headOf(ptePayload(word));
    const isShared = !isPresent || this.#k.folios.mapcount(head) > 1;
    this.#add(isShared ? 'Shared_Hugetlb' : 'Private_Hugetlb', nr * PAGE_SIZE);
  }

  #hugeRow(head: FrameId): string {
    if (this.#k.folios.isAnon(head)) return 'AnonHugePages';
    return this.#k.frames.has(head, PG_SWAPBACKED) ? 'ShmemPmdMapped' : 'FilePmdMapped';
  }

  /** Swap entries; migration and device entries still stand for a page of this process alone. */
  #absent(word: number, nr: number): void {
    const payload = ptePayload(word);
    switch (pteKind(word)) {
      case PTE_KIND_SWAP: {
        const users = Math.max(this.#k.swap.count(payload), 1);
        this.#add('Swap', PAGE_SIZE);
        this.#add('SwapPss', Math.floor((PAGE_SIZE * PSS_ONE) / users));
        break;
      }
      case PTE_KIND_MIGRATION:
      case PTE_KIND_DEVICE_PRIVATE:
      case PTE_KIND_DEVICE_EXCLUSIVE:
        for (let i = 0; i < nr; i++) this.#account(payload + i, false, false, 1);
        break;
      default:
    }
  }

  #account(page: FrameId, young: boolean, entryDirty: boolean, mapcount: number): void {
    const { frames, folios } = this.#k;
    const head = frames.headOf(page);
    const flags = frames.flags[head];
    const dirty = entryDirty || (flags & PG_DIRTY) !== 0;
    const pss = Math.floor((PAGE_SIZE * PSS_ONE) / Math.max(mapcount, 1));
    this.#add('Rss', PAGE_SIZE);
    this.#add('Pss', pss);
    if (dirty) this.#add('Pss_Dirty', pss);
    if (folios.isAnon(head)) {
      this.#add('Anonymous', PAGE_SIZE);
      this.#add('Pss_Anon', pss);
      if ((flags & PG_SWAPBACKED) === 0 && !dirty) this.#add('LazyFree', PAGE_SIZE);
    } else {
      this.#add((flags & PG_SWAPBACKED) !== 0 ? 'Pss_Shmem' : 'Pss_File', pss);
    }
    if (folios.isKsm(head)) this.#add('KSM', PAGE_SIZE);
    if (young || (flags & (PG_REFERENCED | PG_YOUNG)) !== 0) this.#add('Referenced', PAGE_SIZE);
    if (this.#vma.has(VM_LOCKED)) this.#add('Locked', pss);
    const owners = mapcount >= 2 ? 'Shared' : 'Private';
    this.#add(`${owners}_${dirty ? 'Dirty' : 'Clean'}`, PAGE_SIZE);
  }
}

/** A row in kB. Pss rows lose their fraction. */
export function kbOf(rows: SmapsRows, row: string): number {
  const isPss = row.startsWith('Pss') || row === 'SwapPss' || row === 'Locked';
  return Math.floor((rows.get(row) ?? 0) / (isPss ? PSS_ONE * 1024 : 1024));
}
