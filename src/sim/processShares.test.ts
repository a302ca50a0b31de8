import { describe, expect, it } from 'vitest';
import { accessPage, Kernel, mmapRegion, munmapRange, type Task } from '../mm/index.ts';
import { plainMachine } from '../mm/plainMachine.ts';
import { resolveKnobs } from '../policy/index.ts';
import { MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { findWorkload, openWorkload } from '../workload/index.ts';
import { ProcessShares } from './processShares.ts';
import { TraceCgroups } from './traceCgroups.ts';
import type { TraceProcessState } from './traceProgram.ts';

const MS = 1e6;

/** A process that maps memory while time goes by, and what is said of it. */
class Stage {
  readonly processes: (TraceProcessState | null)[] = [];
  readonly #k: Kernel;
  readonly #shares: ProcessShares;
  readonly #source = openWorkload(findWorkload('gups')!, gupsKnobs(), 1);

  constructor() {
    const nodes = [
      { cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: 1024 }] },
      { cpus: [], zones: [{ zone: ZONE_NORMAL, pages: 8192 }] },
    ];
    const plain = plainMachine(nodes, { sysctl: { thp_enabled: 'never', min_free_kbytes: 256 } });
    const slow = { ...plain.nodes[1], abstractDistance: 2880 };
    const machine = { ...plain, nodes: [plain.nodes[0], slow] };
    this.#k = new Kernel(machine, { seed: 1, trackContent: false });
    const workload = { name: 'gups', trace: '', generator: '', params: {} };
    const groups = new TraceCgroups(this.#k, workload, this.#source);
    this.#shares = new ProcessShares(this.#k, this.processes, groups);
  }

  start(): { task: Task; process: number } {
    const task = this.#k.spawn(null, 0);
    const state = { task, mm: task.mm!, slotOfRegion: new Int32Array(0), nrRegions: 0 };
    const process = this.processes.push(state) - 1;
    this.#shares.count(process, 0, 1);
    return { task, process };
  }

  map(task: Task, pages: number): number {
    const [prot, flags] = [PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS];
    const area = { addr: 0, pages, prot, flags, file: null, pgoff: 0 };
    const start = mmapRegion(this.#k, task.mm!, area);
    for (let n = 0; n < pages; n++) accessPage(this.#k, task, start + n, true);
    return start;
  }

  unmap(task: Task, start: number, pages: number): void {
    munmapRange(this.#k, task.mm!, start, start + pages);
  }

  pass(ms: number, step: number): void {
    for (let done = 0; done < ms; done += step) this.#shares.pass(step * MS);
  }

  /** Mean pages of a process: all, and in the top tier. */
  means(process: number): [resident: number, toptier: number] {
    const { processes } = this.#shares.result(this.#source, []);
    const { residentPagesMean, toptierPagesMean } = processes.find(
      (one) => one.process === process,
    )!;
    return [residentPagesMean, toptierPagesMean];
  }
}

function gupsKnobs() {
  return resolveKnobs(findWorkload('gups')!.knobs, { size: 4, accesses: 0.1 }).values;
}

describe('ProcessShares', () => {
  it('has means over time, however long the intervals are', () => {
    const stage = new Stage();
    const { task, process } = stage.start();
    stage.map(task, 100);
    stage.pass(100, 1);
    stage.map(task, 200);
    stage.pass(100, 50);
    expect(stage.means(process)[0]).toBeCloseTo(200, 5);
  });

  it('looks at old processes now and then: a change is seen within a 16th of their time', () => {
    const stage = new Stage();
    const { task, process } = stage.start();
    const start = stage.map(task, 400);
    stage.pass(1000, 1);
    stage.unmap(task, start, 400);
    stage.pass(1000, 1);
    const [mean] = stage.means(process);
    expect(mean).toBeGreaterThanOrEqual(200);
    expect(mean).toBeLessThan(200 * (1 + 1 / 16) + 1);
  });

  it('looks at a new process at once, and counts its own time only', () => {
    const stage = new Stage();
    const old = stage.start();
    stage.map(old.task, 10);
    stage.pass(1000, 1);
    const young = stage.start();
    stage.map(young.task, 50);
    stage.pass(1, 1);
    expect([stage.means(old.process)[0], stage.means(young.process)[0]]).toEqual([10, 50]);
  });

  it('tells the tiers apart', () => {
    const stage = new Stage();
    const { task, process } = stage.start();
    stage.map(task, 2000);
    stage.pass(1, 1);
    const [resident, toptier] = stage.means(process);
    expect(resident).toBe(2000);
    expect(toptier).toBeGreaterThan(500);
    expect(toptier).toBeLessThan(1024);
  });
});
