/** Whether what a device's page table says of a page is still what the CPU's says (DM-3). */
import {
  type AddressSpace,
  type Kernel,
  PTE_FAST,
  PTE_KIND_DEVICE_EXCLUSIVE,
  PTE_W,
  PTEB_WRITE,
  pteIsKind,
  pteMapsPage,
  ptePayload,
} from './kernelDoor.ts';

/** Of mirror entries (dmirror.ts). */
export const TAG_READ = 0;
export const TAG_ATOMIC = 1;
export const TAG_WRITE = 3;

/** Why an entry of a mirror is not true any more; '' if it is. */
export function mirrorStaleness(
  k: Kernel,
  mm: AddressSpace,
  vpn: number,
  frame: number,
  tag: number,
): string {
  const slot = mm.slotOf(vpn);
  const isHuge = slot >= 0 && mm.pmd[slot] !== 0;
  const i = slot < 0 || isHuge ? -1 : mm.pteIndex(vpn);
  if (!isHuge && i < 0) return 'nothing is mapped';
  const word = isHuge ? mm.pmd[slot] : k.ptes.words[i];
  const byte = isHuge ? mm.pmdByte[slot] : k.ptes.bytes[i];
  if (word === 0 || !pteMapsPage(word)) return 'nothing is mapped';
  const offset = isHuge && ptePayload(word) !== k.hugeZeroHead ? vpn - mm.slotVpn[slot] : 0;
  if (ptePayload(word) + offset !== frame) return `frame ${frame}, not ${ptePayload(word)}`;
  const isExclusive = pteIsKind(word, PTE_KIND_DEVICE_EXCLUSIVE);
  if (tag === TAG_ATOMIC) return isExclusive ? '' : 'exclusive no more';
  if (isExclusive) return 'exclusive to somebody else';
  const isFast = (word & PTE_FAST) !== 0;
  const writes = isFast ? (word & PTE_W) !== 0 : (byte & PTEB_WRITE) !== 0;
  return tag === TAG_WRITE && !writes ? 'writable no more' : '';
}
