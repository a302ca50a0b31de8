/**
 * /proc/meminfo (fs/proc/meminfo.c: meminfo_proc_show; mm/show_mem.c: si_mem_available) and the
 * meminfo file of a node (drivers/base/node.c: node_read_meminfo).
 *
 * How we model it: rows are named; each has a value in kB or, for HugePages_*, in huge pages.
 * Not modelled: the rows of MEMINFO_NOT_MODELLED, printed as 0; VmallocTotal is that of x86-64 with
 * five-level page tables; CommitLimit assumes vm.overcommit_ratio 50.
 */
import { UserError } from '../base/assert.ts';
import type { Nid } from '../base/units.ts';
import type { Kernel, Zone } from '../mm/index.ts';
import { nodeItem, zoneItem } from './vmstatItems.ts';

const words = (text: string): readonly string[] => text.trim().split(/\s+/);

export const MEMINFO_ROWS: readonly string[] = words(`
  MemTotal MemFree MemAvailable Buffers Cached SwapCached Active Inactive Active(anon)
  Inactive(anon) Active(file) Inactive(file) Unevictable Mlocked SwapTotal SwapFree Dirty
  Writeback AnonPages Mapped Shmem KReclaimable Slab SReclaimable SUnreclaim KernelStack
  PageTables SecPageTables NFS_Unstable Bounce WritebackTmp CommitLimit Committed_AS
  VmallocTotal VmallocUsed VmallocChunk Percpu HardwareCorrupted AnonHugePages ShmemHugePages
  ShmemPmdMapped FileHugePages FilePmdMapped CmaTotal CmaFree Balloon GPUActive GPUReclaim
  HugePages_Total HugePages_Free HugePages_Rsvd HugePages_Surp Hugepagesize Hugetlb
  DirectMap4k DirectMap2M DirectMap1G`);

export const NODE_MEMINFO_ROWS: readonly string[] = words(`
  MemTotal MemFree MemUsed SwapCached Active Inactive Active(anon) Inactive(anon) Active(file)
  Inactive(file) Unevictable Mlocked Dirty Writeback FilePages Mapped AnonPages Shmem
  KernelStack PageTables SecPageTables NFS_Unstable Bounce WritebackTmp KReclaimable Slab
  SReclaimable SUnreclaim AnonHugePages ShmemHugePages ShmemPmdMapped FileHugePages
  FilePmdMapped Balloon GPUActive GPUReclaim HugePages_Total HugePages_Free HugePages_Surp`);

/** Printed as 0: the model does not account for them. */
export const MEMINFO_NOT_MODELLED: readonly string[] = words(`
  Buffers SecPageTables NFS_Unstable Bounce WritebackTmp Committed_AS VmallocUsed VmallocChunk
  Percpu KernelStack GPUActive GPUReclaim DirectMap4k DirectMap2M DirectMap1G`);

/** Row -> gauge of a node, in pages. */
const NODE_GAUGES: Readonly<Record<string, string>> = {
  SwapCached: 'nr_swapcached',
  'Active(anon)': 'nr_active_anon',
  'Inactive(anon)': 'nr_inactive_anon',
  'Active(file)': 'nr_active_file',
  'Inactive(file)': 'nr_inactive_file',
  Unevictable: 'nr_unevictable',
  Dirty: 'nr_dirty',
  Writeback: 'nr_writeback',
  FilePages: 'nr_file_pages',
  Mapped: 'nr_mapped',
  AnonPages: 'nr_anon_pages',
  Shmem: 'nr_shmem',
  PageTables: 'nr_page_table_pages',
  SReclaimable: 'nr_slab_reclaimable',
  SUnreclaim: 'nr_slab_unreclaimable',
  Balloon: 'nr_balloon_pages',
};

/** Row -> gauge that is shown in huge pages. */
const THP_GAUGES: Readonly<Record<string, string>> = {
  AnonHugePages: 'nr_anon_transparent_hugepages',
  ShmemHugePages: 'nr_shmem_hugepages',
  ShmemPmdMapped: 'nr_shmem_pmdmapped',
  FileHugePages: 'nr_file_hugepages',
  FilePmdMapped: 'nr_file_pmdmapped',
};

const KB_PER_PAGE = 4;
const KB_PER_HUGE_PAGE = 2048;
/** 2^55 bytes less one page, as the kernel prints it. */
const VMALLOC_TOTAL_KB = 13743895347199;

/** Rows that are sums over nodes, in kB. */
function gauges(k: Kernel, nids: readonly Nid[]): Map<string, number> {
  const sum = (name: string) => nids.reduce((all, nid) => all + nodeItem(k, nid, name), 0);
  const zones = k.pm.zones.filter((zone) => nids.includes(zone.nid));
  const zoneSum = (name: string) => zones.reduce((all, zone) => all + zoneItem(k, zone, name), 0);
  const kb = new Map<string, number>();
  for (const [row, name] of Object.entries(NODE_GAUGES)) kb.set(row, sum(name) * KB_PER_PAGE);
  for (const [row, name] of Object.entries(THP_GAUGES)) kb.set(row, sum(name) * KB_PER_HUGE_PAGE);
  const of = (row: string) => kb.get(row) ?? 0;
  const managed = zones.reduce((all, zone) => all + zone.managedPages, 0);
  kb.set('MemTotal', managed * KB_PER_PAGE);
  kb.set('MemFree', zoneSum('nr_free_pages') * KB_PER_PAGE);
  kb.set('MemUsed', of('MemTotal') - of('MemFree'));
  kb.set('Active', of('Active(anon)') + of('Active(file)'));
  kb.set('Inactive', of('Inactive(anon)') + of('Inactive(file)'));
  kb.set('Mlocked', zoneSum('nr_mlock') * KB_PER_PAGE);
  kb.set('KReclaimable', of('SReclaimable'));
  kb.set('Slab', of('SReclaimable') + of('SUnreclaim'));
  kb.set('CmaFree', zoneSum('nr_free_cma') * KB_PER_PAGE);
  return kb;
}

/** All rows of /proc/meminfo with their values, in order. */
export function meminfoOf(k: Kernel): Map<string, number> {
  const kb = gauges(
    k,
    k.pm.nodes.filter((node) => node.online).map((node) => node.nid),
  );
  const of = (row: string) => kb.get(row) ?? 0;
  const cma = k.pm.zones.reduce((all, zone) => all + zone.cmaPages, 0);
  kb.set('Cached', of('FilePages') - of('SwapCached') - of('Buffers'));
  kb.set('SwapTotal', k.swap.nrSlots * KB_PER_PAGE);
  kb.set('SwapFree', k.swap.free * KB_PER_PAGE);
  const half = Math.floor(of('MemTotal') / KB_PER_PAGE / 2) * KB_PER_PAGE;
  kb.set('CommitLimit', half + of('SwapTotal'));
  kb.set('VmallocTotal', VMALLOC_TOTAL_KB);
  kb.set('CmaTotal', cma * KB_PER_PAGE);
  kb.set('Hugepagesize', KB_PER_HUGE_PAGE);
  kb.set('HugePages_Total', k.hugetlb.total);
  kb.set('HugePages_Free', k.hugetlb.totalFree);
  kb.set('HugePages_Rsvd', k.hugetlb.reserved);
  kb.set('HugePages_Surp', k.hugetlb.totalSurplus);
  kb.set('Hugetlb', k.hugetlb.total * KB_PER_HUGE_PAGE);
  kb.set('HardwareCorrupted', k.poisonedPages * KB_PER_PAGE);
  const zones = k.pm.zones.map(marksOf);
  const pages = (row: string) => of(row) / KB_PER_PAGE;
  const available = memAvailablePages(zones, {
    free: pages('MemFree'),
    pagecache: pages('Active(file)') + pages('Inactive(file)'),
    reclaimable: pages('KReclaimable'),
  });
  kb.set('MemAvailable', available * KB_PER_PAGE);
  return new Map(MEMINFO_ROWS.map((row) => [row, of(row)]));
}

/** What si_mem_available needs of a zone, in pages. */
export interface ZoneMarks {
  readonly low: number;
  readonly high: number;
  readonly managed: number;
  readonly protection: readonly number[];
}

function marksOf(zone: Zone): ZoneMarks {
  const boost = zone.watermarkBoost;
  return {
    low: zone.watermark[1] + boost,
    high: zone.watermark[2] + boost,
    managed: zone.managedPages,
    protection: [...zone.lowmemReserve],
  };
}

/**
 * si_mem_available: free memory less what reserves keep, and half of what could be reclaimed or all
 * of it but the low watermarks, whichever is more. In pages.
 */
export function memAvailablePages(
  zones: readonly ZoneMarks[],
  memory: { readonly free: number; readonly pagecache: number; readonly reclaimable: number },
): number {
  let reserve = 0;
  let low = 0;
  for (const zone of zones) {
    low += zone.low;
    reserve += Math.min(Math.max(...zone.protection) + zone.high, zone.managed);
  }
  const { free, pagecache, reclaimable } = memory;
  const keep = (pages: number) => pages - Math.min(Math.floor(pages / 2), low);
  return Math.max(free - reserve + keep(pagecache) + keep(reclaimable), 0);
}

/** All rows of a node's meminfo with their values, in order. */
export function nodeMeminfoOf(k: Kernel, nid: Nid): Map<string, number> {
  const kb = gauges(k, [nid]);
  kb.set('HugePages_Total', k.hugetlb.nrHuge[nid]);
  kb.set('HugePages_Free', k.hugetlb.freeOf(nid));
  kb.set('HugePages_Surp', k.hugetlb.surplus[nid]);
  return new Map(NODE_MEMINFO_ROWS.map((row) => [row, kb.get(row) ?? 0]));
}

export function formatMeminfo(rows: ReadonlyMap<string, number>): string {
  let text = '';
  for (const [row, value] of rows) {
    const unit = row.startsWith('HugePages_') ? '' : ' kB';
    const cell =
      row === 'HardwareCorrupted'
        ? `${row}: ${String(value).padStart(5)}`
        : `${`${row}:`.padEnd(16)}${String(value).padStart(8)}`;
    text += `${cell}${unit}\n`;
  }
  return text;
}

export function formatNodeMeminfo(nid: Nid, rows: ReadonlyMap<string, number>): string {
  let text = '';
  for (const [row, value] of rows) {
    const isCount = row.startsWith('HugePages_');
    const cell = isCount
      ? `${`${row}:`.padEnd(17)}${String(value).padStart(5)}`
      : `${`${row}:`.padEnd(16)}${String(value).padStart(8)} kB`;
    text += `Node ${nid} ${cell}\n`;
  }
  return text;
}

/** Reads both kinds of the file. Errors: UserError with the line that is no row. */
export function parseMeminfo(text: string, file = '/proc/meminfo'): Map<string, number> {
  const rows = new Map<string, number>();
  for (const [i, line] of text.split('\n').entries()) {
    if (line === '') continue;
    const match = /^(?:Node \d+ )?(\S+): +(\d+)(?: kB)?$/.exec(line);
    if (match === null) throw new UserError(`${file}:${i + 1}`, `"${line}" is no row`, 'remove it');
    rows.set(match[1], Number(match[2]));
  }
  return rows;
}
