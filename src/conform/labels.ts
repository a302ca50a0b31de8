/**
 * One label per page, as docs/conformance.md defines them: what pagemap, kpageflags and the
 * zone list say of the page. `n1/Normal+anon+thp`, `swap`, `none`.
 */
import type { FrameId, Vpn } from '../base/units.ts';
import {
  type AddressSpace,
  type Kernel,
  MEMORY_TYPE_NAMES,
  PAGE_SPECIAL,
  PAGE_ZERO,
  PG_HWPOISON,
  PG_MLOCKED,
  PG_UNEVICTABLE,
  PTE_KIND_DEVICE_EXCLUSIVE,
  PTE_KIND_DEVICE_PRIVATE,
  PTE_KIND_HWPOISON,
  PTE_KIND_MIGRATION,
  PTE_KIND_SWAP,
  PTEB_SPECIAL,
  PTEB_UFFD_WP,
  PTEB_WRITE,
  presentPage,
  pteIsPresent,
  pteKind,
  ptePayload,
} from '../mm/index.ts';
import { MIGRATE_CMA } from '../uapi/zone.ts';

/** The label of the page at `vpn`. */
export function labelAt(k: Kernel, mm: AddressSpace, vpn: Vpn): string {
  const slot = mm.slotOf(vpn);
  if (slot < 0) return 'none';
  const offset = vpn - mm.slotVpn[slot];
  const pmd = mm.pmd[slot];
  if (pmd !== 0) {
    const byte = mm.pmdByte[slot];
    if (!pteIsPresent(pmd)) return absentLabel(pmd, byte);
    if ((byte & PTEB_SPECIAL) !== 0) return 'zeropage';
    return presentLabel(k, ptePayload(pmd) + offset, byte);
  }
  if (mm.leaf[slot] < 0) return 'none';
  const i = mm.leaf[slot] * 512 + offset;
  const word = k.ptes.words[i];
  const byte = k.ptes.bytes[i];
  if (!pteIsPresent(word)) return absentLabel(word, byte);
  const page = presentPage(k, word, byte);
  if (page === PAGE_ZERO) return 'zeropage';
  return page === PAGE_SPECIAL ? 'none' : presentLabel(k, page, byte);
}

function absentLabel(word: number, byte: number): string {
  switch (pteKind(word)) {
    case PTE_KIND_SWAP:
      return 'swap';
    case PTE_KIND_MIGRATION:
      return 'migration-entry';
    case PTE_KIND_DEVICE_PRIVATE:
      return (byte & PTEB_WRITE) !== 0 ? 'device-private(write)' : 'device-private(read)';
    case PTE_KIND_DEVICE_EXCLUSIVE:
      return 'device-exclusive';
    case PTE_KIND_HWPOISON:
      return 'hwpoison-entry';
    default:
      return 'none';
  }
}

function presentLabel(k: Kernel, page: FrameId, byte: number): string {
  if (k.pm.isZoneDevice(page)) {
    return `ZONE_DEVICE(${MEMORY_TYPE_NAMES[k.devices.pagemapOf(page).type]})`;
  }
  const head = k.frames.headOf(page);
  const flags = k.frames.flags[head];
  const folios = k.folios;
  const kind = folios.isHugetlb(head) ? 'hugetlb' : folios.isAnon(head) ? 'anon' : 'file';
  let label = `n${k.pm.nidOf(page)}/${zoneLabel(k, page)}+${kind}`;
  if (folios.isLarge(head) && !folios.isHugetlb(head)) label += '+thp';
  if (folios.isKsm(head)) label += '+ksm';
  if ((flags & PG_UNEVICTABLE) !== 0) label += '+unevictable';
  if ((k.frames.flags[page] & PG_HWPOISON) !== 0) label += '+hwpoison';
  if ((flags & PG_MLOCKED) !== 0) label += '+mlocked';
  if ((byte & PTEB_UFFD_WP) !== 0) label += '+uffdwp';
  return label;
}

function zoneLabel(k: Kernel, page: FrameId): string {
  const isCma = k.pm.blocks.migratetypeBelowIsolation(page) === MIGRATE_CMA;
  const zone = k.pm.zoneOf(page).name;
  return isCma ? `${zone}(CMA)` : zone;
}
