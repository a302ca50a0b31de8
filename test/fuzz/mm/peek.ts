/** Looks at what a page holds without touching it: page tables, caches, swap, backing store. */
import {
  HPAGE_PMD_NR,
  type Kernel,
  type MappedFile,
  PTE_KIND_MIGRATION,
  PTE_KIND_SWAP,
  PTEB_SPECIAL,
  pageAt,
  pteIsDevice,
  pteIsGuard,
  pteIsPresent,
  pteKind,
  ptePayload,
  type Task,
} from './kernelDoor.ts';

/** Nothing is mapped there. */
export const NO_ENTRY = -1;

/** The word at a virtual page; NO_ENTRY if its entry is none. */
export function peekPage(k: Kernel, task: Task, vpn: number): number {
  const mm = task.mm!;
  const content = k.frames.content!;
  const slot = mm.slotOf(vpn);
  if (slot < 0) return NO_ENTRY;
  const offset = vpn - mm.slotVpn[slot];
  const pmd = mm.pmd[slot];
  if (pmd !== 0) {
    return (mm.pmdByte[slot] & PTEB_SPECIAL) !== 0 ? 0 : content[ptePayload(pmd) + offset];
  }
  if (mm.leaf[slot] < 0) return NO_ENTRY;
  const i = mm.leaf[slot] * HPAGE_PMD_NR + offset;
  const word = k.ptes.words[i];
  if (word === 0) return NO_ENTRY;
  const payload = ptePayload(word);
  if (pteIsPresent(word)) {
    return (k.ptes.bytes[i] & PTEB_SPECIAL) !== 0 ? 0 : content[payload];
  }
  if (pteKind(word) === PTE_KIND_MIGRATION || pteIsDevice(word)) return content[payload];
  return pteKind(word) === PTE_KIND_SWAP ? peekSwap(k, payload) : NO_ENTRY;
}

/** Whether a guard stands there. */
export function isGuard(k: Kernel, task: Task, vpn: number): boolean {
  const i = task.mm!.pteIndex(vpn);
  return i >= 0 && pteIsGuard(k.ptes.words[i]);
}

/** The frame that the entry of a page maps, a device's exclusive one too; -1 = none. */
export function mappedFrame(k: Kernel, task: Task, vpn: number): number {
  const mm = task.mm!;
  const slot = mm.slotOf(vpn);
  if (slot < 0) return -1;
  if (mm.pmd[slot] !== 0) return pageAt(k, mm, vpn);
  const i = mm.pteIndex(vpn);
  const isDevice = i >= 0 && pteIsDevice(k.ptes.words[i]);
  return isDevice ? ptePayload(k.ptes.words[i]) : pageAt(k, mm, vpn);
}

/** Whether the entry of a page of a private file area stands for a copy of its own. */
export function hasPrivateCopy(k: Kernel, task: Task, vpn: number): boolean {
  const mm = task.mm!;
  const i = mm.pteIndex(vpn);
  const word = i < 0 ? 0 : k.ptes.words[i];
  if (word === 0 || (k.ptes.bytes[i] & PTEB_SPECIAL) !== 0) return false;
  if (!pteIsPresent(word) && pteKind(word) === PTE_KIND_SWAP) return true;
  return k.folios.isAnon(k.frames.headOf(ptePayload(word)));
}

function peekSwap(k: Kernel, slot: number): number {
  const cached = k.swap.cachedFrame(slot);
  return cached >= 0 ? k.frames.content![cached] : k.swap.contentOf(slot);
}

/** The word of a file's page, wherever it is. */
export function peekFile(k: Kernel, file: MappedFile, index: number): number {
  if (file.kind === 'hugetlb') {
    const head = file.frameAt(index - (index % HPAGE_PMD_NR));
    return head >= 0 ? k.frames.content![head + (index % HPAGE_PMD_NR)] : 0;
  }
  const frame = file.frameAt(index);
  if (frame >= 0) return k.frames.content![frame];
  const slot = file.swapSlotAt(index);
  return slot >= 0 ? peekSwap(k, slot) : (file.backing.get(index) ?? 0);
}
