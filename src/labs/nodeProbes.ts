/**
 * What a node with a given capability mask lets happen, tried one after the other: each probe boots
 * a machine with one ordinary node and the node in question, does one thing to it and looks what
 * came of it. No probe reads the mask. D6.
 */
import { PAGE_SIZE, type Vpn } from '../base/units.ts';
import type { NodeCapability } from '../hw/index.ts';
import {
  allocPages,
  compactNodeByHand,
  damonFolio,
  isolateFolio,
  ksmScan,
  madviseRange,
  migratePages,
  munmapRange,
  taskNumaWork,
} from '../mm/index.ts';
import { mbind, movePages, UserAddresses, UserInts } from '../syscalls/index.ts';
import { __GFP_THISNODE, GFP_HIGHUSER_MOVABLE } from '../uapi/gfp.ts';
import { MPOL_BIND } from '../uapi/mempolicy.ts';
import { MIGRATE_SYNC, MR_SYSCALL } from '../uapi/migrate.ts';
import { MADV_MERGEABLE } from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { LabMachine, type LabProgram, PAGES_PER_MIB } from './labMachine.ts';

const RAM = 0;
const DEVICE = 1;
const NODE_MIB = 64;
/** Enough that every list, batch and watermark is past its first pages. */
const PAGES = 2048;
const MOVE = 2;
/** As dax/kmem registers memory of which nothing is known. */
const SLOW = 2880;

/** One thing that may happen; true if it did. */
export interface NodeProbe {
  readonly capability: NodeCapability;
  readonly what: string;
  readonly happens: (stage: NodeStage) => boolean;
}

export class NodeStage {
  readonly machine: LabMachine;
  readonly program: LabProgram;

  /** `capabilities` undefined: an ordinary node. */
  constructor(capabilities: readonly NodeCapability[] | undefined, seed: number) {
    const pages = NODE_MIB * PAGES_PER_MIB;
    // In ZONE_MOVABLE no long-term pin could stay, whatever the mask says (PM-15).
    const zones = [{ zone: ZONE_NORMAL, pages }];
    const device = { cpus: [], zones, abstractDistance: SLOW };
    this.machine = new LabMachine({
      nodes: [
        { cpus: [0], zones },
        capabilities === undefined ? device : { ...device, capabilities },
      ],
      seed,
      swapMib: NODE_MIB * 2,
      trackContent: true,
      sysctl: { thp_enabled: 'never' },
    });
    this.program = this.machine.program();
  }

  /** Pages of the range on the node in question. */
  onDevice(start: Vpn, nr: number): number {
    const { pm } = this.machine.k;
    let found = 0;
    for (let n = 0; n < nr; n++) {
      const frame = this.program.frame(start + n);
      if (frame >= 0 && pm.nidOf(frame) === DEVICE) found++;
    }
    return found;
  }

  /** Touched memory, then put on the node by its driver: __GFP_THISNODE asks no capability. */
  placed(nr: number): Vpn {
    const { program, machine } = this;
    const start = program.map(nr);
    program.touch(start, nr);
    machine.k.lru.drainAll();
    const list: number[] = [];
    for (let n = 0; n < nr; n++) {
      const frame = program.frame(start + n);
      if (frame >= 0) isolateFolio(machine.k, frame, list);
    }
    const gfp = GFP_HIGHUSER_MOVABLE | __GFP_THISNODE;
    migratePages(machine.k, list, { nid: DEVICE, mask: -1, gfp }, MIGRATE_SYNC, MR_SYSCALL);
    machine.k.lru.drainAll();
    return start;
  }

  /** move_pages of the range: how many pages ended on `nid`. */
  movePages(start: Vpn, nr: number, nid: number): number {
    const addresses = Float64Array.from({ length: nr }, (_, n) => (start + n) * PAGE_SIZE);
    const nodes = new UserInts(new Int32Array(nr).fill(nid));
    const status = new Int32Array(nr).fill(-1);
    const { k } = this.machine;
    const pages = new UserAddresses(addresses);
    movePages(k, this.program.task, 0, nr, pages, nodes, new UserInts(status), MOVE);
    const onDevice = this.onDevice(start, nr);
    return nid === DEVICE ? onDevice : nr - onDevice;
  }
}

export const NODE_PROBES: readonly NodeProbe[] = [
  {
    capability: 'fallback',
    what: 'a program touches more than the other node has',
    happens: (stage) => {
      const nr = NODE_MIB * PAGES_PER_MIB + PAGES;
      const start = stage.program.map(nr);
      stage.program.touch(start, nr);
      return stage.onDevice(start, nr) > 0;
    },
  },
  {
    capability: 'mempolicy',
    what: 'mbind(MPOL_BIND) to the node, then a touch',
    happens: (stage) => {
      const start = stage.program.map(1);
      const bytes = start * PAGE_SIZE;
      const mask = { bits: [DEVICE], maxnode: 33 };
      const { k } = stage.machine;
      const ret = mbind(k, stage.program.task, bytes, PAGE_SIZE, MPOL_BIND, mask, 0);
      stage.program.touch(start, 1);
      return ret === 0 && stage.onDevice(start, 1) === 1;
    },
  },
  {
    capability: 'migrate_in',
    what: 'move_pages to the node',
    happens: (stage) => {
      const start = stage.program.map(16);
      stage.program.touch(start, 16);
      return stage.movePages(start, 16, DEVICE) === 16;
    },
  },
  {
    capability: 'migrate_out',
    what: 'move_pages away from the node',
    happens: (stage) => stage.movePages(stage.placed(16), 16, RAM) === 16,
  },
  {
    capability: 'reclaim',
    what: 'the node is full, and more is asked of it',
    happens: (stage) => {
      const { machine } = stage;
      stage.placed(PAGES);
      const before = machine.vmstat('pswpout');
      const gfp = GFP_HIGHUSER_MOVABLE | __GFP_THISNODE;
      for (let n = 0; n < NODE_MIB * PAGES_PER_MIB; n++) {
        if (allocPages(machine.k.pm, 0, gfp, DEVICE, -1) < 0) break;
        machine.runKswapd();
      }
      return machine.vmstat('pswpout') > before;
    },
  },
  {
    capability: 'demotion_target',
    what: 'the other node is full, demotion_enabled',
    happens: (stage) => {
      const { machine, program } = stage;
      machine.k.sysctl.demotion_enabled = true;
      const nr = NODE_MIB * PAGES_PER_MIB + PAGES;
      program.touch(program.map(nr), nr);
      const demoted = ['pgdemote_kswapd', 'pgdemote_direct'].map((name) => machine.vmstat(name));
      return demoted[0] + demoted[1] > 0;
    },
  },
  {
    capability: 'longterm_pin',
    what: 'a FOLL_LONGTERM pin, and the page is still there',
    happens: (stage) => {
      const start = stage.placed(16);
      stage.program.pinLongterm(start, 16, 16);
      return stage.onDevice(start, 16) === 16;
    },
  },
  {
    capability: 'numa_balancing',
    what: 'a scan of NUMA balancing',
    happens: (stage) => {
      const { k } = stage.machine;
      stage.placed(16);
      k.sysctl.numa_balancing = 1;
      taskNumaWork(k, stage.program.task);
      k.nowNs += 2e9;
      return taskNumaWork(k, stage.program.task) > 0;
    },
  },
  {
    capability: 'compaction',
    what: 'a write to its compact file',
    happens: (stage) => {
      const { k } = stage.machine;
      const start = stage.placed(PAGES);
      const { mm } = stage.program.task;
      for (let n = 0; n < PAGES; n += 2) munmapRange(k, mm!, start + n, start + n + 1);
      const before = stage.machine.vmstat('compact_isolated');
      compactNodeByHand(k, DEVICE);
      return stage.machine.vmstat('compact_isolated') > before;
    },
  },
  {
    capability: 'ksm',
    what: 'three scans of KSM over equal pages',
    happens: (stage) => {
      const { k } = stage.machine;
      const start = stage.placed(16);
      madviseRange(k, stage.program.task, start, start + 16, MADV_MERGEABLE);
      let merged = 0;
      for (let scan = 0; scan < 3; scan++) merged += ksmScan(k);
      return merged > 0;
    },
  },
  {
    capability: 'damon',
    what: 'DAMON looks up a page by physical address',
    happens: (stage) => {
      const { k } = stage.machine;
      const start = stage.placed(1);
      return damonFolio(k, k.frames.pfnOf(stage.program.frame(start)) * PAGE_SIZE) >= 0;
    },
  },
];
