/**
 * /proc/PID/smaps and smaps_rollup (fs/proc/task_mmu.c: show_smap, show_smaps_rollup). HS-27's
 * "Referenced" is a row of it.
 *
 * Not modelled: protection keys, VM_ACCOUNT as a flag: `ac` is shown for private areas
 * that are or once were writable; VM_MAYREAD and VM_MAYEXEC: all areas but VM_PFNMAP show mr me.
 */
import { UserError } from '../base/assert.ts';
import { HPAGE_PMD_NR, PAGE_SIZE } from '../base/units.ts';
import {
  type AddressSpace,
  type Kernel,
  thpFaultOrder,
  VM_DONTCOPY,
  VM_DONTEXPAND,
  VM_EXEC,
  VM_GROWSDOWN,
  VM_HUGEPAGE,
  VM_HUGETLB,
  VM_IO,
  VM_LOCKED,
  VM_LOCKONFAULT,
  VM_MAYBE_GUARD,
  VM_MAYNOTWRITE,
  VM_MERGEABLE,
  VM_MIXEDMAP,
  VM_NOHUGEPAGE,
  VM_PFNMAP,
  VM_READ,
  VM_SHARED,
  VM_UFFD_MISSING,
  VM_UFFD_WP,
  VM_WIPEONFORK,
  VM_WRITE,
  type Vma,
} from '../mm/index.ts';
import { formatMapsArea, type MapsArea, mapsAreaOf, parseMapsLine } from './maps.ts';
import { countSmaps, kbOf, type SmapsRows } from './smapsCount.ts';
import { vmaPageSize } from './vmaEntries.ts';

const words = (text: string): readonly string[] => text.trim().split(/\s+/);

const COUNTED_ROWS: readonly string[] = words(`
  Shared_Clean Shared_Dirty Private_Clean Private_Dirty Referenced Anonymous KSM LazyFree
  AnonHugePages ShmemPmdMapped FilePmdMapped Shared_Hugetlb Private_Hugetlb Swap SwapPss Locked`);

/** Rows of an area in kB, in order; THPeligible and ProtectionKey (no kB) follow. */
export const SMAPS_ROWS: readonly string[] = [
  ...words('Size KernelPageSize MMUPageSize Rss Pss Pss_Dirty'),
  ...COUNTED_ROWS,
];

export const SMAPS_ROLLUP_ROWS: readonly string[] = [
  ...words('Rss Pss Pss_Dirty Pss_Anon Pss_File Pss_Shmem'),
  ...COUNTED_ROWS,
];

/** One area: its line of maps, rows in kB (THPeligible and ProtectionKey as they are), flags. */
export interface SmapsArea {
  readonly area: MapsArea;
  readonly rows: ReadonlyMap<string, number>;
  readonly flags: readonly string[];
}

/** Where VmFlags shows which flag; null: a rule of its own. */
const FLAG_NAMES: ReadonlyArray<readonly [string, (vma: Vma) => boolean]> = [
  ['rd', (vma) => vma.has(VM_READ)],
  ['wr', (vma) => vma.has(VM_WRITE)],
  ['ex', (vma) => vma.has(VM_EXEC)],
  ['sh', (vma) => vma.has(VM_SHARED)],
  ['mr', () => true],
  ['mw', (vma) => !vma.has(VM_MAYNOTWRITE)],
  ['me', (vma) => !vma.has(VM_PFNMAP)],
  ['ms', (vma) => vma.has(VM_SHARED)],
  ['gd', (vma) => vma.has(VM_GROWSDOWN)],
  ['um', (vma) => vma.has(VM_UFFD_MISSING)],
  ['pf', (vma) => vma.has(VM_PFNMAP)],
  ['gu', (vma) => vma.has(VM_MAYBE_GUARD)],
  ['uw', (vma) => vma.has(VM_UFFD_WP)],
  ['lo', (vma) => vma.has(VM_LOCKED)],
  ['io', (vma) => vma.has(VM_IO)],
  ['dc', (vma) => vma.has(VM_DONTCOPY)],
  ['de', (vma) => vma.has(VM_DONTEXPAND | VM_HUGETLB) || vma.file?.kind === 'vdso'],
  ['lf', (vma) => vma.has(VM_LOCKONFAULT)],
  ['ac', isAccounted],
  ['ht', (vma) => vma.has(VM_HUGETLB)],
  ['wf', (vma) => vma.has(VM_WIPEONFORK)],
  ['mm', (vma) => vma.has(VM_MIXEDMAP)],
  ['hg', (vma) => vma.has(VM_HUGEPAGE)],
  ['nh', (vma) => vma.has(VM_NOHUGEPAGE)],
  ['mg', (vma) => vma.has(VM_MERGEABLE)],
];

function isAccounted(vma: Vma): boolean {
  return !vma.has(VM_SHARED | VM_HUGETLB) && (vma.has(VM_WRITE) || vma.anonVma !== null);
}

export function smapsAreaOf(k: Kernel, vma: Vma): SmapsArea {
  const counted: SmapsRows = new Map();
  countSmaps(k, vma, counted);
  const rows = new Map(SMAPS_ROWS.map((row) => [row, kbOf(counted, row)]));
  rows.set('Size', (vma.nrPages * PAGE_SIZE) / 1024);
  const pageKib = vmaPageSize(vma) / 1024;
  rows.set('KernelPageSize', pageKib);
  rows.set('MMUPageSize', pageKib);
  rows.set('THPeligible', isThpEligible(k, vma) ? 1 : 0);
  rows.set('ProtectionKey', 0);
  const flags = FLAG_NAMES.filter(([, isShown]) => isShown(vma)).map(([name]) => name);
  return { area: mapsAreaOf(vma), rows, flags };
}

/** Whether a fault somewhere in the area could use a huge page. */
function isThpEligible(k: Kernel, vma: Vma): boolean {
  const first = Math.ceil(vma.start / HPAGE_PMD_NR) * HPAGE_PMD_NR;
  return first < vma.end && thpFaultOrder(k, vma, first) > 0;
}

/** The sums over all areas, from the first area's start to the last one's end. */
export function smapsRollupOf(k: Kernel, mm: AddressSpace): SmapsArea {
  const counted: SmapsRows = new Map();
  for (const vma of mm.vmas) countSmaps(k, vma, counted);
  const area = {
    start: mm.vmas.length === 0 ? 0 : mm.vmas[0].start * PAGE_SIZE,
    end: mm.vmas.length === 0 ? 0 : mm.vmas[mm.vmas.length - 1].end * PAGE_SIZE,
    perms: '---p',
    offset: 0,
    device: '00:00',
    inode: 0,
    name: '[rollup]',
  };
  const rows = new Map(SMAPS_ROLLUP_ROWS.map((row) => [row, kbOf(counted, row)]));
  return { area, rows, flags: [] };
}

/** Text of smaps (many areas) or smaps_rollup (one). */
export function formatSmaps(areas: readonly SmapsArea[]): string {
  let text = '';
  for (const { area, rows, flags } of areas) {
    text += formatMapsArea(area);
    for (const [row, value] of rows) {
      const unit = row === 'THPeligible' || row === 'ProtectionKey' ? '' : ' kB';
      text += `${`${row}:`.padEnd(16)}${String(value).padStart(8)}${unit}\n`;
    }
    if (rows.has('THPeligible')) text += `VmFlags: ${flags.map((flag) => `${flag} `).join('')}\n`;
  }
  return text;
}

/** Reads both files. Errors: UserError with the line that does not belong. */
export function parseSmaps(text: string, file = 'smaps'): SmapsArea[] {
  const areas: { area: MapsArea; rows: Map<string, number>; flags: string[] }[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    if (line === '') continue;
    const area = parseMapsLine(line);
    const row = /^(\w+): +(\d+)(?: kB)?$/.exec(line);
    const last = areas[areas.length - 1];
    if (area !== null) areas.push({ area, rows: new Map(), flags: [] });
    else if (last !== undefined && row !== null) last.rows.set(row[1], Number(row[2]));
    else if (last !== undefined && line.startsWith('VmFlags: ')) {
      last.flags.push(...words(line.slice('VmFlags: '.length)));
    } else {
      throw new UserError(`${file}:${i + 1}`, `"${line}" is no row`, 'remove it');
    }
  }
  return areas;
}
