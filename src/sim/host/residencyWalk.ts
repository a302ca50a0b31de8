/**
 * Where the pages of programs are: a walk over all page tables into runs of equal pages, as a
 * daemon would read it from /proc/PID/pagemap and kpageflags (HS-20, HS-22).
 *
 * What is present, with or without access rights, counts; so does a migration entry, at its source.
 * The zero page, swap and raw frames do not.
 */
import { HPAGE_PMD_NR, type Nid, PAGEBLOCK_ORDER, type Vpn } from '../../base/units.ts';
import { resized } from '../../heat/index.ts';
import {
  type AddressSpace,
  type Kernel,
  PG_HEAD,
  PG_TAIL,
  PTE_FAST,
  PTE_KIND_MIGRATION,
  PTEB_SPECIAL,
  pteIsKind,
  pteIsPresent,
  ptePayload,
} from '../../mm/index.ts';
import type { ResidencyTable } from '../../policy/index.ts';

export class ResidencyWalk implements ResidencyTable {
  nrRows = 0;
  pid = new Int32Array(256);
  vpn = new Float64Array(256);
  nrPages = new Int32Array(256);
  folioPages = new Int32Array(256);
  nid = new Int8Array(256);
  /** Mapped pages found by the last walk. */
  nrMapped = 0;
  readonly #k: Kernel;

  constructor(k: Kernel) {
    this.#k = k;
  }

  /** Replaces the rows by what is mapped now. */
  walk(): void {
    this.nrRows = 0;
    this.nrMapped = 0;
    const leaders = [...this.#k.tasks.values()].filter((task) => task.pid === task.tgid);
    leaders.sort((a, b) => a.pid - b.pid);
    for (const { tgid, mm } of leaders) if (mm !== null) this.#walkSpace(tgid, mm);
  }

  #walkSpace(pid: number, mm: AddressSpace): void {
    const { slotVpn } = mm;
    const slots = Int32Array.from({ length: mm.nrSlots }, (_, slot) => slot);
    slots.sort((a, b) => slotVpn[a] - slotVpn[b]);
    for (let n = 0; n < slots.length; n++) {
      const slot = slots[n];
      if (mm.pmd[slot] !== 0) this.#walkPmd(pid, mm, slot);
      else if (mm.leaf[slot] >= 0) this.#walkTable(pid, mm, slot);
    }
  }

  #walkPmd(pid: number, mm: AddressSpace, slot: number): void {
    const word = mm.pmd[slot];
    if (!isMapped(word) || (mm.pmdByte[slot] & PTEB_SPECIAL) !== 0) return;
    const nid = this.#k.pm.nidOf(ptePayload(word));
    this.#add(pid, mm.slotVpn[slot], HPAGE_PMD_NR, HPAGE_PMD_NR, nid);
  }

  /** Runs within a table are found in local variables: this loop sees every mapped page. */
  #walkTable(pid: number, mm: AddressSpace, slot: number): void {
    const { ptes, frames, folios, pm } = this.#k;
    const { words, bytes } = ptes;
    const { flags } = frames;
    const { nidOfBlock } = pm.blocks;
    const first = mm.leaf[slot] * HPAGE_PMD_NR;
    const vpn = mm.slotVpn[slot] - first;
    let runStart = first;
    let runEnd = first;
    let runNid = -1;
    let runFolio = 0;
    for (let i = first; i < first + HPAGE_PMD_NR; i++) {
      const word = words[i];
      if ((word & PTE_FAST) === 0 && !isMapped(word)) continue;
      if ((bytes[i] & PTEB_SPECIAL) !== 0) continue;
      const frame = ptePayload(word);
      const nid = nidOfBlock[frame >>> PAGEBLOCK_ORDER];
      const isLarge = (flags[frame] & (PG_HEAD | PG_TAIL)) !== 0;
      const folioPages = isLarge ? folios.nrPages(frames.headOf(frame)) : 1;
      if (i === runEnd && nid === runNid && folioPages === runFolio) {
        runEnd++;
        continue;
      }
      if (runEnd > runStart) this.#add(pid, vpn + runStart, runEnd - runStart, runFolio, runNid);
      runStart = i;
      runEnd = i + 1;
      runNid = nid;
      runFolio = folioPages;
    }
    if (runEnd > runStart) this.#add(pid, vpn + runStart, runEnd - runStart, runFolio, runNid);
  }

  /** Adds pages, to the last run if they continue it. */
  #add(pid: number, vpn: Vpn, nrPages: number, folioPages: number, nid: Nid): void {
    this.nrMapped += nrPages;
    const last = this.nrRows - 1;
    const continues =
      last >= 0 &&
      this.pid[last] === pid &&
      this.nid[last] === nid &&
      this.folioPages[last] === folioPages &&
      this.vpn[last] + this.nrPages[last] === vpn;
    if (continues) {
      this.nrPages[last] += nrPages;
      return;
    }
    if (this.nrRows === this.pid.length) this.#grow();
    const row = this.nrRows++;
    this.pid[row] = pid;
    this.vpn[row] = vpn;
    this.nrPages[row] = nrPages;
    this.folioPages[row] = folioPages;
    this.nid[row] = nid;
  }

  #grow(): void {
    const n = this.pid.length * 2;
    this.pid = resized(this.pid, new Int32Array(n));
    this.vpn = resized(this.vpn, new Float64Array(n));
    this.nrPages = resized(this.nrPages, new Int32Array(n));
    this.folioPages = resized(this.folioPages, new Int32Array(n));
    this.nid = resized(this.nid, new Int8Array(n));
  }
}

/** Present in Linux's sense, or on its way to another node. */
function isMapped(word: number): boolean {
  return pteIsPresent(word) || pteIsKind(word, PTE_KIND_MIGRATION);
}
