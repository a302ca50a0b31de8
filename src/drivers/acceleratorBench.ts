/** A small machine with one accelerator and one program, for tests. */
import { PAGES_PER_SECTION } from '../base/units.ts';
import { DEVICE_COST_DEFAULTS, type ExperimentalFeature, type KernelVersion } from '../hw/index.ts';
import {
  exitTask,
  findBrokenInvariants,
  Kernel,
  loadWord,
  madviseRange,
  mmapRegion,
  type PlainZone,
  plainMachine,
  storeWord,
  type Task,
} from '../mm/index.ts';
import { MADV_HUGEPAGE, MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import type { Accelerator, AcceleratorSpec } from './accelerator.ts';
import { AcceleratorContext } from './acceleratorContext.ts';
import { CoherentAccelerator } from './coherentAccelerator.ts';
import { PrivateAccelerator } from './privateAccelerator.ts';

export const DEVICE_PFN = 2 ** 22;

export const PLAIN_ACCELERATOR: AcceleratorSpec = {
  name: 'test',
  nid: 0,
  nrPages: PAGES_PER_SECTION,
  placement: 'fault',
  rangePages: 16,
  counterThreshold: 8,
  splitsOnReturn: false,
  cost: DEVICE_COST_DEFAULTS,
};

interface BenchOptions extends Partial<AcceleratorSpec> {
  readonly isCoherent?: boolean;
  readonly systemPages?: number;
  /** All alike; the program runs on the first. */
  readonly nodes?: number;
  readonly kernel?: KernelVersion;
  readonly experimental?: readonly ExperimentalFeature[];
}

export class AcceleratorBench {
  readonly k: Kernel;
  readonly task: Task;
  readonly device: Accelerator;
  readonly context: AcceleratorContext;

  constructor({
    isCoherent = false,
    systemPages = 65536,
    nodes = 1,
    kernel,
    experimental,
    ...spec
  }: BenchOptions = {}) {
    const zone: PlainZone = { zone: ZONE_NORMAL, pages: systemPages };
    const alike = Array.from({ length: nodes }, (_, nid) => ({ cpus: [nid], zones: [zone] }));
    const machine = plainMachine(alike, {
      sysctl: { thp_enabled: 'madvise' },
    });
    const booted = {
      ...machine,
      kernel: kernel ?? machine.kernel,
      experimental: experimental ?? [],
    };
    this.k = new Kernel(booted, { seed: 1, trackContent: true, deviceSections: 4 });
    this.task = this.k.spawn(null, 0);
    const Kind = isCoherent ? CoherentAccelerator : PrivateAccelerator;
    this.device = new Kind(this.k, { ...PLAIN_ACCELERATOR, ...spec });
    const ret = this.device.probe(isCoherent ? DEVICE_PFN : -1);
    if (ret !== 0) throw new Error(`probe returned ${ret}`);
    this.context = AcceleratorContext.open(this.device, this.task) as AcceleratorContext;
  }

  /** Anonymous memory, its first page a multiple of 512; untouched. */
  map(pages: number): number {
    const flags = MAP_PRIVATE | MAP_ANONYMOUS;
    const prot = PROT_READ | PROT_WRITE;
    const request = { addr: 0, pages: pages + 512, prot, flags, file: null, pgoff: 0 };
    return Math.ceil(mmapRegion(this.k, this.task.mm!, request) / 512) * 512;
  }

  /** As map, written with 1, 2, 3 ...; huge pages if `isHuge`. */
  mapWritten(pages: number, isHuge = false): number {
    const start = this.map(pages);
    if (isHuge) madviseRange(this.k, this.task, start, start + pages, MADV_HUGEPAGE);
    for (let i = 0; i < pages; i++) storeWord(this.k, this.task, start + i, i + 1);
    return start;
  }

  /** Pages whose content is not what mapWritten wrote, read by the CPU. */
  wrongPages(start: number, pages: number): number {
    let wrong = 0;
    for (let i = 0; i < pages; i++) {
      if (loadWord(this.k, this.task, start + i) !== i + 1) wrong++;
    }
    return wrong;
  }

  get live(): number {
    return this.k.devices.livePages(this.device.pagemap);
  }

  /** The program ends, then the device goes: what is left that should not be, as sentences. */
  end(): string[] {
    exitTask(this.k, this.task);
    const left = findBrokenInvariants(this.k);
    if (this.live !== 0) left.push(`DM-50: ${this.live} device pages are live`);
    const ret = this.device.remove(this.task);
    if (ret !== 0) left.push(`DM-53: remove returned ${ret}`);
    return left;
  }
}
