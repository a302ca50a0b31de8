/**
 * What a case runs in: a kernel booted from the case's machine, the processes, files and names that
 * its steps declare, and time. Every case gets a fresh one.
 *
 * `main` runs as root on the CPUs of node 0, as init's child, with the memory a program has: text,
 * stack, heap and vDSO on node 0.
 * Deviates: time goes by as constants say, not as long as the steps took on the emulated guest.
 */
import { UserError } from '../base/assert.ts';
import type { Nanoseconds, Vpn } from '../base/units.ts';
import type { KernelVersion } from '../hw/index.ts';
import { type ObservedMachine, type ObservedMachines, observedMachine } from '../hw/index.ts';
import {
  createVdso,
  HPAGE_FRAG_CHECK_NS,
  Kernel,
  type KernelReclaim,
  kcompactdStep,
  type MappedFile,
  nextDamonNs,
  proactiveStep,
  runDamon,
  Task,
  taskNumaWork,
} from '../mm/index.ts';
import { Cgroups } from './cgroups.ts';
import type { DebugAllocation } from './cmaFiles.ts';
import { FileTree } from './fileTree.ts';
import { type Process, Programs } from './process.ts';
import { References } from './references.ts';
import { SysfsFiles } from './sysfs.ts';
import { deviceSections, type ObservedDevice, TestDevices } from './testDevices.ts';

/** machines.json with the parts that only cases need. */
export interface CaseMachine extends ObservedMachine {
  readonly cgroup?: { readonly version: number };
  readonly devices?: readonly ObservedDevice[];
  readonly filesystems: readonly { readonly at: string; readonly type: string }[];
}

export interface CaseMachines extends ObservedMachines {
  readonly machines: readonly CaseMachine[];
}

/** Time of one page access of a touching program, page faults included. */
const TOUCH_NS = 1000;
/** Time a step takes besides its accesses. */
const STEP_NS = 1_000_000;
/** Time of one pass of kswapd: some hundred pages swapped out or demoted. */
const KSWAPD_PASS_NS = 5_000_000;
/** Accesses after which background work gets its turn. */
const TURN_TOUCHES = 512;
/** The seed does not matter: cases compare what is decided, not what is drawn. */
const SEED = 1;

export class World {
  readonly k: Kernel;
  readonly machine: CaseMachine;
  readonly processes: Map<string, Process> = new Map();
  readonly files: FileTree;
  readonly sysfs: SysfsFiles;
  readonly cgroups: Cgroups;
  readonly references: References;
  readonly programs: Programs;
  readonly devices: TestDevices;
  /** Physical frames remembered under a name. */
  readonly frames: Map<string, readonly number[]> = new Map();
  /** What is allocated of CMA areas through debugfs. */
  readonly cmaAllocations: DebugAllocation[] = [];
  /** Memory blocks found out at run time, by name. */
  readonly blocks: Map<string, number> = new Map();
  /** Pages that the last `touch` with `until` got through: n "touched" of later steps. */
  touched = 0;
  /** Huge pages that thp.take mapped, one behind the other. */
  hugeTaken = 0;
  /** Accesses that wait for somebody to read a userfaultfd: nobody does. */
  userfaults = 0;
  #touches = 0;
  #proactiveTurns = 0;
  /** Time that kswapd has not used up. */
  #kswapdNs = 0;

  constructor(machines: CaseMachines, name: string, kernel: KernelVersion) {
    const machine = machines.machines.find((candidate) => candidate.name === name);
    if (machine === undefined) {
      const known = machines.machines.map((candidate) => candidate.name).join(', ');
      throw new UserError(name, 'no such machine', `machines.json has ${known}`);
    }
    this.machine = machine;
    const spec = observedMachine(machines, name, kernel);
    const devices = machine.devices ?? [];
    this.k = new Kernel(spec, {
      seed: SEED,
      trackContent: true,
      deviceSections: deviceSections(devices),
    });
    this.devices = new TestDevices(this.k, devices);
    this.files = new FileTree(this.k, machine.filesystems);
    this.sysfs = new SysfsFiles(this);
    this.references = new References(this.k);
    this.cgroups = new Cgroups(this.k, machine.cgroup?.version === 1);
    const vdso: MappedFile | null = machine.vdso ? createVdso(this.k) : null;
    this.programs = new Programs(this.k, this.files, vdso);
    this.#startUserSpace();
  }

  /** init, kthreadd and main. */
  #startUserSpace(): void {
    const k = this.k;
    const init = new Task(1, 1, k.newAddressSpace(), -1);
    k.placeTask(init, 0);
    k.tasks.set(1, init);
    const kthreadd = new Task(2, 2, null, -1);
    k.tasks.set(2, kthreadd);
    this.processes.set('init', this.programs.start('init', init));
    const main = k.spawn(init, 0);
    this.processes.set('main', this.programs.start('main', main));
  }

  process(name: string, place: string): Process {
    const process = this.processes.get(name);
    if (process === undefined) throw new UserError(place, `no process ${name}`);
    return process;
  }

  /** The pid that a name in `pid` stands for. */
  pidOf(name: string, place: string): number {
    switch (name) {
      case 'self':
        return 0;
      case 'kthreadd':
        return 2;
      case 'nonexistent':
        return 99999;
      case '-1':
        return -1;
      default:
        return this.process(name, place).task.pid;
    }
  }

  /** Pages of an `n` input: a number, "touched" or "touched/2". */
  count(value: unknown, place: string): number {
    if (typeof value === 'number') return value;
    if (value === 'touched') return this.touched;
    if (value === 'touched/2') return Math.floor(this.touched / 2);
    throw new UserError(place, `n is ${JSON.stringify(value)}`, 'a number or "touched"');
  }

  /** Between two steps. */
  endStep(): void {
    this.advance(STEP_NS);
  }

  /** One access of a program: now and then the kernel's threads get their turn beside it. */
  countTouch(task: Task): void {
    this.k.nowNs += TOUCH_NS;
    if (++this.#touches % TURN_TOUCHES !== 0) return;
    this.turn();
    this.scan(task);
    runDamon(this.k);
  }

  /** NUMA balancing's part of a tick of a running task. */
  scan(task: Task): void {
    if (task.mm !== null) taskNumaWork(this.k, task);
  }

  /** Lets time go by with nobody running but the kernel's threads. */
  advance(ns: Nanoseconds): void {
    this.#runDamonFor(ns);
    this.#kswapdNs += ns;
    for (; this.#kswapdNs >= KSWAPD_PASS_NS; this.#kswapdNs -= KSWAPD_PASS_NS) {
      if (this.k.kswapdWoken !== 0 || this.k.compaction.kcompactdWoken !== 0) this.turn();
    }
    this.#compactProactively();
  }

  /** Time goes by in steps that end where a kdamond wakes up. */
  #runDamonFor(ns: Nanoseconds): void {
    const end = this.k.nowNs + ns;
    for (let next = nextDamonNs(this.k); next < end; next = nextDamonNs(this.k)) {
      this.k.nowNs = Math.max(this.k.nowNs, next);
      runDamon(this.k);
    }
    this.k.nowNs = end;
  }

  /** One pass of every kswapd and kcompactd that was woken. */
  turn(): void {
    const k = this.k;
    for (const { nid } of k.pm.nodes) {
      const bit = 1 << nid;
      if ((k.kswapdWoken & bit) !== 0) (k.pm.hooks as KernelReclaim).kswapdStep(nid);
      if ((k.compaction.kcompactdWoken & bit) !== 0) kcompactdStep(k, nid);
    }
  }

  /** kcompactd looks at the nodes every half second, asked or not. */
  #compactProactively(): void {
    const due = Math.floor(this.k.nowNs / HPAGE_FRAG_CHECK_NS);
    for (; this.#proactiveTurns < due; this.#proactiveTurns++) {
      for (const node of this.k.pm.nodes) if (node.present > 0) proactiveStep(this.k, node.nid);
    }
  }

  /** Page number of a process's own [vdso], [stack] or [text]. */
  specialPage(process: Process, name: string, place: string): Vpn {
    const vpn = process.special.get(name);
    if (vpn === undefined) throw new UserError(place, `no ${name} in process ${process.name}`);
    return vpn;
  }
}
