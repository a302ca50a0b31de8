/**
 * Recounts the pages of devices (for mm/invariants.ts): what is mapped, what is referred to, what
 * the pagemap counts. DM-50, DM-77, DM-110, DM-111.
 */
import type { FrameId } from '../base/units.ts';
import {
  PG_HEAD,
  PG_HWPOISON,
  PG_LRU,
  PG_LRU_BATCH,
  PG_MLOCKED,
  PG_SWAPCACHE,
  PG_TAIL,
  PG_UPTODATE,
} from './frameTable.ts';
import type { CountedMaps } from './frameTally.ts';
import type { Kernel } from './kernel.ts';
import {
  type DevPagemap,
  isDevicePrivate,
  MEMORY_DEVICE_FS_DAX,
  MEMORY_DEVICE_GENERIC,
} from './memremap.ts';
import { PTE_KIND_DEVICE_PRIVATE, pteIsKind, ptePayload } from './pageTable.ts';

/** DM-111: private entries lead to private memory, exclusive ones to anonymous system memory. */
export function brokenDeviceEntry(k: Kernel, word: number): string[] {
  const page = ptePayload(word);
  const isPrivate = pteIsKind(word, PTE_KIND_DEVICE_PRIVATE);
  if (isPrivate === isDevicePrivate(k, page)) return [];
  return [`DM-111: a device entry of another kind for frame ${page}`];
}

/** What is broken about device memory, as sentences. */
export function brokenDeviceMemory(k: Kernel, maps: CountedMaps): string[] {
  const broken: string[] = [];
  const { refcount, mapcount, flags } = k.frames;
  for (const pagemap of k.devices.pagemaps) {
    let live = 0;
    const end = pagemap.start + pagemap.nrPages;
    const base = baseRefs(pagemap);
    const idle = base > 0 ? PG_HWPOISON | PG_UPTODATE : PG_HWPOISON;
    for (let head = pagemap.start; head < end; ) {
      // Nearly all of them are: small and not in use.
      if (refcount[head] === base && mapcount[head] === 0 && (flags[head] & ~idle) === 0) {
        head++;
        continue;
      }
      if (refcount[head] === 0) {
        // Whoever has it next learns of its error when the device reads it. A large folio of a DAX
        // file stays one until the file is cut.
        const kept = pagemap.type === MEMORY_DEVICE_FS_DAX ? PG_HEAD | PG_HWPOISON : PG_HWPOISON;
        const isPlain = (flags[head] & ~kept) === 0;
        if (!isPlain) broken.push(`DM-50: free device frame ${head} has flags`);
        if (k.folios.mapcount(head) !== 0) broken.push(`DM-50: free folio ${head} is mapped`);
        head += k.folios.nrPages(head);
        continue;
      }
      const nr = k.folios.nrPages(head);
      live += nr;
      checkFolio(k, head, nr, maps, broken);
      head += nr;
    }
    compareLive(k, pagemap, live, broken);
  }
  const isInUse = (mapped: FrameId): void => {
    if (!k.pm.isZoneDevice(mapped)) return;
    if (refcount[k.frames.headOf(mapped)] > baseRefs(k.devices.pagemapOf(mapped))) return;
    broken.push(`DM-50: free device frame ${mapped} is mapped`);
  };
  maps.pte.each(isInUse);
  maps.pmd.each(isInUse);
  return broken;
}

/** The device's own reference to each page, which it never lets go of. */
function baseRefs({ type }: DevPagemap): number {
  return type === MEMORY_DEVICE_GENERIC ? 1 : 0;
}

/** DM-110. */
function compareLive(k: Kernel, pagemap: DevPagemap, live: number, broken: string[]): void {
  const { type } = pagemap;
  // In use or not, they hold no reference to it.
  if (type === MEMORY_DEVICE_FS_DAX || type === MEMORY_DEVICE_GENERIC) return;
  const kept = k.devices.livePages(pagemap);
  if (live === kept) return;
  broken.push(`DM-110: pagemap at ${pagemap.startPfn}: counted ${live} live pages, kept ${kept}`);
}

function checkFolio(
  k: Kernel,
  head: FrameId,
  nr: number,
  maps: CountedMaps,
  broken: string[],
): void {
  const f = k.frames;
  let mapped = maps.pmd.get(head);
  for (let page = head; page < head + nr; page++) {
    const counted = maps.pte.get(page);
    mapped += counted;
    if (counted !== f.mapcount[page]) {
      broken.push(`OV-50: device frame ${page}: counted ${counted}, kept ${f.mapcount[page]}`);
    }
    const isTail = page > head;
    if (isTail && ((f.flags[page] & PG_TAIL) === 0 || f.mapping[page] !== head)) {
      broken.push(`OV-11: device frame ${page} is no tail of ${head}`);
    }
  }
  if (mapped !== k.folios.mapcount(head)) {
    broken.push(`DM-77: device folio ${head}: ${mapped} mappings, kept ${k.folios.mapcount(head)}`);
  }
  if (f.refcount[head] < mapped + baseRefs(k.devices.pagemapOf(head))) {
    broken.push(`DM-77: device folio ${head}: ${f.refcount[head]} references, ${mapped} mappings`);
  }
  const never = PG_LRU | PG_LRU_BATCH | PG_MLOCKED | PG_SWAPCACHE;
  if ((f.flags[head] & never) !== 0) {
    broken.push(`DM-111: device folio ${head} is on an LRU list, locked or in the swap cache`);
  }
  if (nr > 1 !== ((f.flags[head] & PG_HEAD) !== 0)) broken.push(`OV-11: order of ${head}`);
}
