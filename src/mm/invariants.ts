/**
 * Recounts everything redundant from first principles and compares (OV-49..OV-58). The fuzzer runs
 * it after each operation, tests at the end, production never. Each check names its rule.
 *
 * Order: page tables first (they are the truth about mappings), then folios, lists, gauges, rss.
 */

import { InvariantError } from '../base/assert.ts';
import { type FrameId, HPAGE_PMD_NR } from '../base/units.ts';
import {
  NR_ANON_MAPPED,
  NR_FILE_MAPPED,
  NR_FILE_PAGES,
  NR_ISOLATED_ANON,
  NR_ISOLATED_FILE,
  NR_LRU_BASE,
  NR_MLOCK,
  NR_PAGETABLE,
  NR_SHMEM,
  NR_SWAPCACHE,
  NR_ZONE_LRU_BASE,
} from '../uapi/vmstat.ts';
import type { AddressSpace } from './addressSpace.ts';
import { brokenDeviceEntry, brokenDeviceMemory } from './deviceInvariants.ts';
import {
  MAPPING_NONE,
  PG_ANON_EXCLUSIVE,
  PG_BUDDY,
  PG_HEAD,
  PG_HUGETLB,
  PG_LRU,
  PG_LRU_BATCH,
  PG_MLOCKED,
  PG_SWAPBACKED,
  PG_SWAPCACHE,
  PG_TAIL,
  PG_UNEVICTABLE,
} from './frameTable.ts';
import { eachMapped, FrameTally } from './frameTally.ts';
import { checkFreeLists } from './freeListCheck.ts';
import { findHotplugMismatches } from './hotplugCheck.ts';
import type { Kernel } from './kernel.ts';
import { NR_LRU_LISTS } from './lru.ts';
import {
  PTE_FAST,
  PTE_KIND_DEVICE_EXCLUSIVE,
  PTE_KIND_DEVICE_PRIVATE,
  PTE_KIND_MIGRATION,
  PTE_KIND_SWAP,
  PTE_W,
  PTEB_SPECIAL,
  pteIsPresent,
  pteKind,
  ptePayload,
} from './pageTable.ts';
import { VM_HUGETLB, VM_LOCKED, VM_SHARED } from './vma.ts';

/** Throws InvariantError with every broken invariant (at most 20 lines). */
export function checkInvariants(k: Kernel): void {
  const broken = findBrokenInvariants(k);
  if (broken.length > 0) throw new InvariantError(broken.slice(0, 20).join('\n'));
}

/** All broken invariants as sentences; empty if the state is consistent. */
export function findBrokenInvariants(k: Kernel): string[] {
  const census = new Census(k);
  for (const mm of k.spaces) if (mm !== null && mm !== undefined) census.countSpace(mm);
  census.countCaches();
  census.countLists();
  census.compareFolios();
  census.compareDevices();
  census.compareGauges();
  census.compareSwap();
  return census.broken;
}

/** Pages of one address space by kind. */
interface RssCount {
  anon: number;
  file: number;
  shmem: number;
  swap: number;
  hugetlb: number;
}

/** What the recount found, by frame. */
class Census {
  readonly broken: string[] = [];
  readonly #k: Kernel;
  readonly #maps = { pte: new FrameTally(), pmd: new FrameTally() };
  /** Head of a large folio -> mm id -> mappings. */
  readonly #mmMaps: Map<FrameId, Map<number, number>> = new Map();
  readonly #cacheRefs = new FrameTally();
  readonly #onList = new FrameTally();
  /** Pages that a VM_LOCKED area maps. */
  readonly #locked = new FrameTally();
  readonly #swapRefs: Map<number, number> = new Map();
  #tables = 0;
  readonly #migrationSources: Set<FrameId> = new Set();

  constructor(k: Kernel) {
    this.#k = k;
  }

  #say(rule: string, what: string): void {
    this.broken.push(`${rule}: ${what}`);
  }

  countSpace(mm: AddressSpace): void {
    const rss = { anon: 0, file: 0, shmem: 0, swap: 0, hugetlb: 0 };
    for (let i = 1; i < mm.vmas.length; i++) {
      if (mm.vmas[i - 1].end > mm.vmas[i].start) this.#say('OV-28', `VMAs of mm ${mm.id} overlap`);
    }
    for (let slot = 0; slot < mm.nrSlots; slot++) {
      if (mm.pmd[slot] !== 0) {
        if (mm.leaf[slot] >= 0) this.#say('OV-32', `mm ${mm.id} slot ${slot}: leaf and PMD`);
        const hugetlb = mm.findVma(mm.slotVpn[slot])?.has(VM_HUGETLB) === true;
        if (mm.deposit[slot] < 0 !== hugetlb) {
          this.#say('OV-32', `mm ${mm.id} slot ${slot}: no deposit`);
        }
        if (!hugetlb) this.#tables++;
        this.#countEntry(mm, mm.slotVpn[slot], mm.pmd[slot], mm.pmdByte[slot], true, rss);
      } else if (mm.deposit[slot] >= 0) {
        this.#say('OV-32', `mm ${mm.id} slot ${slot}: deposit without PMD leaf`);
      }
      if (mm.leaf[slot] < 0) continue;
      this.#tables++;
      const base = mm.leaf[slot] * HPAGE_PMD_NR;
      for (let j = 0; j < HPAGE_PMD_NR; j++) {
        const word = this.#k.ptes.words[base + j];
        if (word === 0) continue;
        const byte = this.#k.ptes.bytes[base + j];
        this.#countEntry(mm, mm.slotVpn[slot] + j, word, byte, false, rss);
      }
    }
    this.#equal('OV-55', `hugetlb pages of mm ${mm.id}`, rss.hugetlb, mm.hugetlbPages);
    const seen = `anon ${rss.anon} file ${rss.file} shmem ${rss.shmem} swap ${rss.swap}`;
    const kept = `anon ${mm.rssAnon} file ${mm.rssFile} shmem ${mm.rssShmem} swap ${mm.swapEnts}`;
    if (seen !== kept) this.#say('OV-55', `mm ${mm.id} rss: counted ${seen}, kept ${kept}`);
  }

  #countEntry(
    mm: AddressSpace,
    vpn: number,
    word: number,
    byte: number,
    huge: boolean,
    rss: RssCount,
  ): void {
    const vma = mm.findVma(vpn);
    if (vma === null) {
      this.#say('OV-28', `mm ${mm.id} page ${vpn}: entry outside every VMA`);
      return;
    }
    if (!pteIsPresent(word)) {
      this.#countNonPresent(mm, vpn, word, huge, rss);
      return;
    }
    if ((byte & PTEB_SPECIAL) !== 0) return;
    const frame = ptePayload(word);
    const maps = huge ? this.#maps.pmd : this.#maps.pte;
    maps.add(frame);
    if (vma.has(VM_LOCKED)) this.#locked.add(frame);
    this.#addRss(rss, frame, huge ? HPAGE_PMD_NR : 1);
    const f = this.#k.frames;
    const head = f.headOf(frame);
    if (this.#k.folios.isLarge(head)) this.#countMm(head, mm.id);
    const writable = (word & PTE_FAST) !== 0 && (word & PTE_W) !== 0;
    const anon = this.#k.folios.isAnon(head);
    if (writable && anon && (f.flags[frame] & PG_ANON_EXCLUSIVE) === 0) {
      this.#say('OV-18', `mm ${mm.id} page ${vpn}: writable but frame ${frame} is not exclusive`);
    }
    if (writable && !anon && !vma.has(VM_SHARED)) {
      this.#say('OV-18', `mm ${mm.id} page ${vpn}: private mapping writes to the page cache`);
    }
    const index = f.indexOf(head) + (frame - head);
    // A driver's page is nobody's page of an index (vm_insert_page).
    const hasIndex = f.mapping[head] !== MAPPING_NONE && !this.#k.folios.isKsm(head);
    if (hasIndex && index !== vma.indexOf(vpn)) {
      this.#say('OV-35', `mm ${mm.id} page ${vpn}: index ${index}, VMA says ${vma.indexOf(vpn)}`);
    }
  }

  #countMm(head: FrameId, mmId: number): void {
    const row = this.#mmMaps.get(head) ?? new Map<number, number>();
    row.set(mmId, (row.get(mmId) ?? 0) + 1);
    this.#mmMaps.set(head, row);
  }

  /** OV-16: a slot counts mappings of its mm, maybe not all of them, but never too many. */
  #compareMmSlots(head: FrameId): void {
    const { lruNext, lruPrev } = this.#k.frames;
    for (const slot of [lruNext[head + 1], lruPrev[head + 1]]) {
      const mmId = slot >>> 16;
      const counted = this.#mmMaps.get(head)?.get(mmId) ?? 0;
      if (slot !== 0 && (slot & 0xffff) > counted) {
        const says = `mm ${mmId} maps ${slot & 0xffff}`;
        this.#say('OV-16', `slot of folio ${head}: ${says}, counted ${counted}`);
      }
    }
  }

  #countNonPresent(
    mm: AddressSpace,
    vpn: number,
    word: number,
    huge: boolean,
    rss: RssCount,
  ): void {
    const payload = ptePayload(word);
    switch (pteKind(word)) {
      case PTE_KIND_SWAP:
        rss.swap++;
        this.#swapRefs.set(payload, (this.#swapRefs.get(payload) ?? 0) + 1);
        break;
      case PTE_KIND_MIGRATION: {
        const head = this.#k.frames.headOf(payload);
        this.#migrationSources.add(head);
        if (!this.#k.inFlight.has(head)) {
          this.#say('OV-51', `mm ${mm.id} page ${vpn}: migration entry without a migration`);
        }
        this.#addRss(rss, payload, huge ? HPAGE_PMD_NR : 1);
        break;
      }
      case PTE_KIND_DEVICE_PRIVATE:
      case PTE_KIND_DEVICE_EXCLUSIVE: {
        const maps = huge ? this.#maps.pmd : this.#maps.pte;
        maps.add(payload);
        if (mm.findVma(vpn)?.has(VM_LOCKED)) this.#locked.add(payload);
        this.#addRss(rss, payload, huge ? HPAGE_PMD_NR : 1);
        const head = this.#k.frames.headOf(payload);
        if (this.#k.folios.isLarge(head)) this.#countMm(head, mm.id);
        this.broken.push(...brokenDeviceEntry(this.#k, word));
        break;
      }
    }
  }

  #addRss(rss: RssCount, frame: FrameId, n: number): void {
    const head = this.#k.frames.headOf(frame);
    if (this.#k.folios.isHugetlb(head)) rss.hugetlb += n;
    else if (this.#k.folios.isAnon(head)) rss.anon += n;
    else if (this.#k.folios.isFileLru(head)) rss.file += n;
    else rss.shmem += n;
  }

  /** OV-52: every cached index points to the right page of a folio that points back. */
  countCaches(): void {
    const k = this.#k;
    for (const file of k.files) {
      if (file === null) continue;
      for (const [index, value] of file.pages) {
        if (value < 0) {
          const slot = -1 - value;
          this.#swapRefs.set(slot, (this.#swapRefs.get(slot) ?? 0) + 1);
          continue;
        }
        const head = k.frames.headOf(value);
        this.#cacheRefs.add(head);
        const own = k.folios.hasFileMapping(head) && k.folios.mappingId(head) === file.id;
        if (!own || k.frames.indexOf(head) + (value - head) !== index) {
          this.#say('OV-52', `file ${file.name} index ${index}: frame ${value} points elsewhere`);
        }
      }
    }
  }

  /** OV-26: list membership, PG_LRU and the gauges agree. */
  countLists(): void {
    const k = this.#k;
    const zonePages = new Map<number, number>();
    for (const node of k.pm.nodes) {
      for (let list = 0; list < NR_LRU_LISTS; list++) {
        let pages = 0;
        let previous = -1;
        let head = k.lru.head[node.nid * NR_LRU_LISTS + list];
        while (head >= 0) {
          const nr = k.folios.nrPages(head);
          pages += nr;
          const zoneKey = k.pm.zoneOf(head).id * NR_LRU_LISTS + list;
          zonePages.set(zoneKey, (zonePages.get(zoneKey) ?? 0) + nr);
          this.#onList.add(head);
          if (k.pm.nidOf(head) !== node.nid)
            this.#say('OV-26', `frame ${head} on wrong node's LRU`);
          if (!k.frames.has(head, PG_LRU)) this.#say('OV-26', `frame ${head} listed, no PG_LRU`);
          if (k.lru.listOf(head) !== list)
            this.#say('OV-26', `frame ${head} on wrong list ${list}`);
          if (k.frames.lruPrev[head] !== previous)
            this.#say('OV-26', `LRU links of ${head} broken`);
          previous = head;
          head = k.frames.lruNext[head];
        }
        if (k.lru.tail[node.nid * NR_LRU_LISTS + list] !== previous) {
          this.#say('OV-26', `tail of list ${list} of node ${node.nid} is wrong`);
        }
        this.#equal('OV-26', `LRU ${list} of node ${node.nid}`, pages, k.lru.size(node.nid, list));
      }
    }
    for (const zone of k.pm.zones) {
      for (let list = 0; list < NR_LRU_LISTS; list++) {
        const counted = zonePages.get(zone.id * NR_LRU_LISTS + list) ?? 0;
        const kept = k.vmstat.zoneItem(zone.id, NR_ZONE_LRU_BASE + list);
        this.#equal('OV-44', `zone ${zone.id} LRU ${list}`, counted, kept);
      }
    }
  }

  #equal(rule: string, what: string, counted: number, kept: number): void {
    if (counted !== kept) this.#say(rule, `${what}: counted ${counted}, kept ${kept}`);
  }

  /** As #equal, for what there are many of: words are made only if they are said. */
  #same(rule: string, what: string, frame: FrameId, counted: number, kept: number): void {
    if (counted !== kept) this.#equal(rule, `${what} of ${frame}`, counted, kept);
  }

  /** OV-49, OV-50, OV-53, OV-13, OV-16 for every frame that was ever allocated. */
  compareFolios(): void {
    const k = this.#k;
    const f = k.frames;
    const mlocked = new Float64Array(k.pm.zones.length);
    const hugetlb = new Int32Array(k.hugetlb.nrHuge.length);
    for (const zone of k.pm.zones) {
      for (const range of zone.presentRanges) {
        for (let frame = zone.managedFrom(range); frame < range.end; frame++) {
          if (k.pm.isPristine(frame)) {
            frame |= HPAGE_PMD_NR - 1;
            continue;
          }
          const flags = f.flags[frame];
          if ((flags & PG_HUGETLB) !== 0) hugetlb[k.pm.nidOf(frame)]++;
          if ((flags & PG_TAIL) !== 0) {
            this.#compareTail(frame);
            continue;
          }
          if ((flags & PG_BUDDY) !== 0 || f.refcount[frame] === 0) {
            const mapped = this.#maps.pte.has(frame) || this.#maps.pmd.has(frame);
            if (mapped) this.#say('OV-53', `free frame ${frame} is mapped`);
            if ((flags & PG_LRU) !== 0) this.#say('OV-53', `free frame ${frame} has PG_LRU`);
            continue;
          }
          this.#compareHead(frame);
          if ((flags & PG_MLOCKED) !== 0) mlocked[zone.id] += k.folios.nrPages(frame);
        }
      }
      const kept = k.vmstat.zoneItem(zone.id, NR_MLOCK);
      this.#equal('OV-44', `nr_mlock of zone ${zone.id}`, mlocked[zone.id], kept);
    }
    for (const { nid } of k.pm.nodes) {
      this.#equal('MP-111', `hugetlb pages of node ${nid}`, hugetlb[nid], k.hugetlb.nrHuge[nid]);
    }
  }

  /** DM-50, DM-77, DM-110: pages of devices. */
  compareDevices(): void {
    this.broken.push(...brokenDeviceMemory(this.#k, this.#maps));
  }

  #compareTail(frame: FrameId): void {
    const f = this.#k.frames;
    const head = f.mapping[frame];
    const nr = this.#k.folios.nrPages(head);
    if ((f.flags[head] & PG_HEAD) === 0 || frame <= head || frame >= head + nr) {
      this.#say('OV-11', `tail ${frame} points to ${head}, which does not hold it`);
    }
    if (f.mapcount[frame] !== this.#maps.pte.get(frame)) {
      const counted = this.#maps.pte.get(frame);
      this.#say('OV-50', `tail ${frame}: counted ${counted}, mapcount ${f.mapcount[frame]}`);
    }
  }

  #compareHead(head: FrameId): void {
    const k = this.#k;
    const f = k.frames;
    if (f.mapcount[head] < 0) return; // typed page: never mapped
    this.#same('OV-50', 'mapcount', head, this.#maps.pte.get(head), f.mapcount[head]);
    if (k.folios.isLarge(head)) {
      const entire = this.#maps.pmd.get(head);
      let total = entire;
      const nr = k.folios.nrPages(head);
      for (let i = 0; i < nr; i++) total += this.#maps.pte.get(head + i);
      this.#same('OV-14', 'entire_mapcount', head, entire, k.folios.entireMapcount(head));
      this.#same('OV-13', 'large_mapcount', head, total, k.folios.mapcount(head));
      this.#compareMmSlots(head);
    }
    const expected = k.folios.expectedRefs(head);
    if (f.refcount[head] < expected) {
      this.#say('OV-49', `frame ${head}: refcount ${f.refcount[head]} < expected ${expected}`);
    }
    const listed = this.#onList.has(head);
    if (listed !== ((f.flags[head] & PG_LRU) !== 0)) this.#say('OV-26', `PG_LRU of ${head} lies`);
    if ((f.flags[head] & PG_LRU) !== 0 && (f.flags[head] & PG_LRU_BATCH) !== 0) {
      this.#say('OV-24', `frame ${head} is on a list and in a batch`);
    }
    this.#compareLocks(head);
    const cached = this.#cacheRefs.get(head);
    if (k.folios.hasFileMapping(head)) {
      this.#same('OV-52', 'cache entries', head, cached, k.folios.nrPages(head));
    } else if (cached > 0) {
      this.#say('OV-52', `frame ${head} is cached but has no file mapping`);
    }
    const anonymous = k.folios.isAnon(head) || f.mapping[head] === MAPPING_NONE;
    if (!anonymous && (f.flags[head] & PG_ANON_EXCLUSIVE) !== 0) {
      this.#say('OV-18', `file frame ${head} is anon-exclusive`);
    }
  }

  /**
   * Small pages of locked areas are mlocked; what is mlocked, or of such a file, is unevictable.
   */
  #compareLocks(head: FrameId): void {
    const k = this.#k;
    const flags = k.frames.flags[head];
    const mlocked = (flags & PG_MLOCKED) !== 0;
    if (
      !k.folios.isLarge(head) &&
      k.folios.mapcount(head) > 0 &&
      mlocked !== this.#locked.has(head)
    ) {
      this.#say('OV-29', `frame ${head}: PG_MLOCKED is ${mlocked}, mapped by a locked area or not`);
    }
    // What was truncated keeps its place until its last reference goes.
    if ((flags & PG_LRU) === 0 || k.frames.mapping[head] === MAPPING_NONE) return;
    const unevictable = mlocked || k.lru.mappingUnevictable(head);
    if (unevictable !== ((flags & PG_UNEVICTABLE) !== 0)) {
      this.#say('OV-26', `frame ${head} on the LRU: PG_UNEVICTABLE is not ${unevictable}`);
    }
  }

  /** OV-44: gauges against the recount. OV-54: nothing isolated between operations. */
  compareGauges(): void {
    const k = this.#k;
    const quiet = k.inFlight.size === 0;
    const perNode = k.pm.nodes.map(() => ({ anon: 0, file: 0, cache: 0, shmem: 0, swap: 0 }));
    eachMapped(this.#maps, (page) => {
      const head = k.frames.headOf(page);
      if (k.folios.isHugetlb(head)) return;
      const row = perNode[k.pm.nidOf(page)];
      if (k.folios.isAnon(head)) row.anon++;
      else row.file++;
    });
    this.#cacheRefs.each((head, n) => {
      if (k.folios.isHugetlb(head)) return;
      const row = perNode[k.pm.nidOf(head)];
      row.cache += n;
      if (k.frames.has(head, PG_SWAPBACKED)) row.shmem += n;
    });
    for (let slot = 0; slot < k.swap.nrSlots; slot++) {
      const cached = k.swap.cachedFrame(slot);
      if (cached < 0) continue;
      perNode[k.pm.nidOf(cached)].swap++;
      const head = k.frames.headOf(cached);
      if (!k.frames.has(head, PG_SWAPCACHE) || k.frames.private_[head] + (cached - head) !== slot) {
        this.#say('OV-25', `swap slot ${slot}: frame ${cached} points elsewhere`);
      }
    }
    for (const node of k.pm.nodes) {
      const row = perNode[node.nid];
      const at = (item: number): number => k.vmstat.nodeItem(node.nid, item);
      const name = `of node ${node.nid}`;
      this.#equal('OV-44', `nr_anon_pages ${name}`, row.anon, at(NR_ANON_MAPPED));
      this.#equal('OV-44', `nr_mapped ${name}`, row.file, at(NR_FILE_MAPPED));
      this.#equal('OV-44', `nr_file_pages ${name}`, row.cache + row.swap, at(NR_FILE_PAGES));
      this.#equal('OV-44', `nr_shmem ${name}`, row.shmem, at(NR_SHMEM));
      this.#equal('OV-44', `nr_swapcached ${name}`, row.swap, at(NR_SWAPCACHE));
      if (!quiet) continue;
      this.#equal('OV-54', `nr_isolated_anon ${name}`, 0, at(NR_ISOLATED_ANON));
      this.#equal('OV-54', `nr_isolated_file ${name}`, 0, at(NR_ISOLATED_FILE));
      for (let list = 0; list < NR_LRU_LISTS; list++) {
        if (at(NR_LRU_BASE + list) < 0) this.#say('OV-26', `LRU ${list} ${name} is negative`);
      }
    }
    this.#compareMemory();
  }

  /** Free memory and the page table gauge. */
  #compareMemory(): void {
    const k = this.#k;
    let pageTables = 0;
    for (const node of k.pm.nodes) pageTables += k.vmstat.nodeItem(node.nid, NR_PAGETABLE);
    this.#equal('OV-44', 'nr_page_table_pages', this.#tables, pageTables);
    this.#equal('OV-44', 'page tables in the pool', this.#tables, k.ptes.nrTables);
    this.broken.push(...findHotplugMismatches(k.pm));
    // OV-53, OV-56, OV-58, PM-63: free lists, pageblocks and free counts.
    checkFreeLists(k.pm);
  }

  /** OV-25: slot counts are the entries and cache indexes that name them. */
  compareSwap(): void {
    const k = this.#k;
    for (let slot = 0; slot < k.swap.nrSlots; slot++) {
      const counted = this.#swapRefs.get(slot) ?? 0;
      if (counted !== k.swap.count(slot)) {
        this.#equal('OV-25', `references of swap slot ${slot}`, counted, k.swap.count(slot));
      }
    }
    this.#equal('OV-25', 'swap slots in use', k.swap.recountUsed(), k.swap.used);
  }
}
