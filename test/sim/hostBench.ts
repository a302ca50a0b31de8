/**
 * A bench for tests of SimHost: a program with 64 MiB mapped on a machine with a fast node (0, with
 * CPUs) and a slow one (1), and plans for it.
 */
import { expect } from 'vitest';
import { type Clock, EventQueue, VirtualClock } from '../../src/engine/index.ts';
import { AccessCost } from '../../src/hw/index.ts';
import { accessPage, Kernel, pageAt, type Task } from '../../src/mm/index.ts';
import { plainMachine } from '../../src/mm/plainMachine.ts';
import {
  type HostView,
  MigrationPlan,
  NO_NEEDS,
  NO_SETTINGS,
  type Policy,
  REASON_DEMOTE,
  REASON_PROMOTE,
} from '../../src/policy/index.ts';
import { SIM_HOST_DEFAULTS, SimHost, type SimHostOptions } from '../../src/sim/simHost.ts';
import * as sys from '../../src/syscalls/index.ts';
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  PROT_READ,
  PROT_WRITE,
} from '../../src/uapi/mman.ts';
import { ZONE_NORMAL } from '../../src/uapi/zone.ts';

/** First page of the programs' memory. */
export const BASE = 0x10000;

export interface Setup {
  readonly thp?: boolean;
  readonly options?: Partial<SimHostOptions>;
  readonly policy?: Partial<Policy>;
  /** Pages of the fast and the slow node. */
  readonly pages?: readonly [number, number];
}

/** Node 0 with a CPU, node 1 without; a program with 64 MiB mapped. */
export class Bench {
  readonly k: Kernel;
  readonly clock: VirtualClock & Clock = new VirtualClock();
  readonly queue: EventQueue;
  readonly task: Task;
  readonly host: SimHost;
  readonly policy: Policy;

  constructor(setup: Setup = {}) {
    const [fast, slow] = setup.pages ?? [16384, 16384];
    const spec = plainMachine(
      [
        { cpus: [0, 1], zones: [{ zone: ZONE_NORMAL, pages: fast }] },
        { cpus: [], zones: [{ zone: ZONE_NORMAL, pages: slow }] },
      ],
      { sysctl: { thp_enabled: setup.thp ? 'always' : 'never', min_free_kbytes: 256 } },
    );
    this.k = new Kernel(spec, { seed: 1, trackContent: true });
    this.queue = new EventQueue(this.clock);
    this.policy = {
      name: 'test',
      needs: { ...NO_NEEDS, residencyPeriodNs: 1, vmstat: ['pgmigrate_success'] },
      settings: NO_SETTINGS,
      periodNs: 1000,
      planCapacity: 64,
      decide: () => {},
      ...setup.policy,
    };
    const parts = {
      kernel: this.k,
      queue: this.queue,
      cost: new AccessCost(spec),
      policy: this.policy,
      monitor: null,
      future: null,
      pidOf: () => -1,
    };
    this.host = new SimHost(parts, { ...SIM_HOST_DEFAULTS, ...setup.options });
    this.task = this.k.spawn(null, 0);
    this.map(this.task, BASE, 16384);
  }

  map(task: Task, vpn: number, pages: number): void {
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    const prot = PROT_READ | PROT_WRITE;
    const at = sys.mmap(this.k, task, vpn * 4096, pages * 4096, prot, flags, null, 0);
    expect(at).toBe(vpn * 4096);
  }

  /** Writes pages [first, first + pages) of the program. */
  touch(first: number, pages: number, task = this.task): void {
    for (let i = first; i < first + pages; i++) accessPage(this.k, task, BASE + i, true);
  }

  /** Touches pages [first, first + pages) and gives them contents that are not zero. */
  write(first: number, pages: number): void {
    this.touch(first, pages);
    const { content } = this.k.frames;
    for (let i = first; i < first + pages; i++) {
      content![pageAt(this.k, this.task.mm!, BASE + i)] = i + 1;
    }
  }

  nidOf(page: number, task = this.task): number {
    const frame = pageAt(this.k, task.mm!, BASE + page);
    return frame < 0 ? frame : this.k.pm.nidOf(frame);
  }

  plan(...rows: readonly (readonly [page: number, pages: number, nid: number])[]): void {
    const plan = new MigrationPlan(1024);
    for (const [page, pages, nid] of rows) {
      const reason = nid === 0 ? REASON_PROMOTE : REASON_DEMOTE;
      plan.migrateVirtual(this.task.tgid, BASE + page, pages, nid, reason);
    }
    this.host.apply(plan, this.clock.nowNs);
  }

  run(untilNs = 1_000_000_000): HostView {
    this.queue.runUntil(this.clock.nowNs + untilNs);
    return this.host.observe(this.clock.nowNs);
  }
}

export function outcomeOf(view: HostView): number[][] {
  const { outcome } = view;
  return Array.from({ length: outcome.nrRows }, (_, row) => [
    outcome.status[row],
    outcome.migratedPages[row],
  ]);
}

export function residencyOf(view: HostView): number[][] {
  const walk = view.residency;
  expect(walk).not.toBeNull();
  return Array.from({ length: walk!.nrRows }, (_, row) => [
    walk!.vpn[row] - BASE,
    walk!.nrPages[row],
    walk!.folioPages[row],
    walk!.nid[row],
  ]);
}
