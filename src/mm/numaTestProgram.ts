/** Programs for tests of NUMA balancing: machines, pages on a node, a scan, its marks. */
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { taskNumaWork } from './numaScan.ts';
import { PTE_KIND_PROTNONE, pteIsKind } from './pageTable.ts';
import { bootNodes, migrate, TestProgram } from './testProgram.ts';

export const MS = 1_000_000;

export interface Options {
  readonly mode?: number;
  /** Pages of the fast nodes 0 and 1 and of the slow node 2. */
  readonly pages?: number;
  readonly thp?: boolean;
}

/** N0 and N1 with CPUs, N2 slow without. The task runs on N0, time is 10 s. */
export function boot(options: Options = {}): TestProgram {
  const zones = [{ zone: ZONE_NORMAL, pages: options.pages ?? 4096 }];
  const k = bootNodes([
    { cpus: [0, 1], zones },
    { cpus: [2], zones },
    { cpus: [], zones: [{ zone: ZONE_NORMAL, pages: 4096 }] },
  ]);
  k.sysctl.thp_enabled = options.thp ? 'always' : 'never';
  k.sysctl.numa_balancing = options.mode ?? 1;
  k.sysctl.numa_balancing_scan_delay_ms = 0;
  k.nowNs = 10_000 * MS;
  return new TestProgram(k);
}

/** Pages written on node 0 and migrated to `nid`. */
export function pagesOn(p: TestProgram, nid: number, n: number): number {
  const a = p.mapWritten(n);
  if (nid !== 0 && migrate(p, a, n, nid) !== 0) throw new Error(`pages stayed off node ${nid}`);
  p.k.lru.drainAll();
  return a;
}

export function scan(p: TestProgram): number {
  p.k.nowNs += 2000 * MS;
  return taskNumaWork(p.k, p.task);
}

export const isHint = (p: TestProgram, vpn: number): boolean =>
  pteIsKind(p.entry(vpn).word, PTE_KIND_PROTNONE);
