/**
 * A machine with an accelerator for labs: a program that stores and loads on the CPU and on the
 * device in turn, never both at once, so that time adds up.
 *
 * Units: `spentNs` is what faults, migrations and copies took on both sides; the accesses
 * themselves are not in it.
 */
import { HPAGE_PMD_NR, type Nanoseconds, type Vpn } from '../base/units.ts';
import {
  type AcceleratorContext,
  type BounceSpec,
  CoherentAccelerator,
  featuresOf,
  PrivateAccelerator,
} from '../drivers/index.ts';
import type { DeviceCostSpec, ExperimentalFeature, KernelVersion } from '../hw/index.ts';
import { findBrokenInvariants, loadWord, storeWord } from '../mm/index.ts';
import { exit } from '../syscalls/index.ts';
import { LAB_ACCELERATOR, opened, probed } from './labAccelerator.ts';
import { LabMachine, type LabProgram, PAGES_PER_MIB, twoZones } from './labMachine.ts';

const DEVICE_MIB = 128;
const DEVICE_PFN = 2 ** 22;

export interface LabDeviceOptions {
  readonly seed: number;
  readonly systemMib: number;
  readonly swapMib?: number;
  readonly isCoherent?: boolean;
  /** A large page comes back one base page at a time (DM-64). */
  readonly splitsOnReturn?: boolean;
  readonly kernel?: KernelVersion;
  /** Omitted = as measured on Xe. */
  readonly cost?: DeviceCostSpec;
  /** Experimental; what it needs is switched on. */
  readonly bounces?: BounceSpec;
  /** What the kernel has besides. */
  readonly experimental?: readonly ExperimentalFeature[];
}

export class LabDevice {
  readonly machine: LabMachine;
  readonly program: LabProgram;
  readonly device: PrivateAccelerator | CoherentAccelerator;
  readonly context: AcceleratorContext;

  constructor(options: LabDeviceOptions) {
    const { seed, systemMib, isCoherent = false, kernel, bounces = {} } = options;
    const machine = new LabMachine({
      nodes: [twoZones(systemMib, 0)],
      seed,
      sysctl: { thp_enabled: 'madvise', thp_defrag: 'always' },
      trackContent: true,
      deviceSections: 4,
      swapMib: options.swapMib ?? 0,
      ...(kernel === undefined ? {} : { kernel }),
      experimental: [...featuresOf(bounces), ...(options.experimental ?? [])],
    });
    const Kind = isCoherent ? CoherentAccelerator : PrivateAccelerator;
    const spec = {
      ...LAB_ACCELERATOR,
      nrPages: DEVICE_MIB * PAGES_PER_MIB,
      rangePages: HPAGE_PMD_NR,
      counterThreshold: 0,
      splitsOnReturn: options.splitsOnReturn === true,
      bounces,
      ...(options.cost === undefined ? {} : { cost: options.cost }),
    };
    this.device = probed(new Kind(machine.k, spec), isCoherent ? DEVICE_PFN : -1);
    this.machine = machine;
    this.program = machine.program();
    this.context = opened(this.device, this.program.task);
  }

  /** Faults, migrations and copies so far, of the device and of CPUs that waited for it. */
  get spentNs(): Nanoseconds {
    const { stalledNs, cpuFaultNs } = this.device.stats;
    return stalledNs + cpuFaultNs;
  }

  /** The CPU writes a page. */
  store(vpn: Vpn, word: number): void {
    this.#onCpu(() => storeWord(this.machine.k, this.program.task, vpn, word));
  }

  /** The CPU reads a page: its word. */
  load(vpn: Vpn): number {
    return this.#onCpu(() => loadWord(this.machine.k, this.program.task, vpn));
  }

  /** The device writes a page: 0 or the errno. */
  deviceStore(vpn: Vpn, word: number): number {
    return this.#onDevice(() => this.context.store(this.program.task, vpn, word));
  }

  /** The device reads a page: its word, or the errno. */
  deviceLoad(vpn: Vpn): number {
    return this.#onDevice(() => this.context.load(this.program.task, vpn));
  }

  /** The driver brings pages to the device before they are used. */
  prefetch(start: Vpn, nr: number): void {
    this.#onDevice(() => this.context.migrateToDevice(this.program.task, start, nr));
  }

  /** ... and back to system memory. */
  bringBack(start: Vpn, nr: number): void {
    this.#onDevice(() => this.context.migrateToSystem(this.program.task, start, nr));
  }

  /** Device memory that is in use, in pages. */
  get live(): number {
    return this.machine.k.devices.livePages(this.device.pagemap);
  }

  /** The program ends and the device goes: device pages left, and invariants broken. */
  end(): { readonly live: number; readonly broken: number } {
    const { k } = this.machine;
    exit(k, this.program.task);
    const { live } = this;
    this.device.remove(this.program.task);
    return { live, broken: findBrokenInvariants(k).length };
  }

  /** What the CPU does takes as long as it waits for the device's pages. */
  #onCpu<T>(work: () => T): T {
    const before = this.device.stats.cpuFaultNs;
    const result = work();
    this.machine.k.nowNs += this.device.stats.cpuFaultNs - before;
    return result;
  }

  #onDevice<T>(work: () => T): T {
    this.device.syncClock();
    const result = work();
    this.machine.k.nowNs = Math.max(this.machine.k.nowNs, this.device.clockNs);
    return result;
  }
}
