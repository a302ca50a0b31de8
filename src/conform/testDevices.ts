/**
 * The test devices of a case: hmm_dmirror0 and 1 with private memory, 2 and 3 with coherent memory,
 * as machines.json describes them. A process that forks opens its devices again in the child.
 */
import { UserError } from '../base/assert.ts';
import { PAGES_PER_SECTION } from '../base/units.ts';
import { Dmirror, DmirrorDevice } from '../drivers/index.ts';
import type { Kernel } from '../mm/index.ts';
import type { Process } from './process.ts';

/** An entry of `devices` of a machine. */
export interface ObservedDevice {
  readonly name: string;
  readonly type: string;
  /** Of coherent devices. */
  readonly start_pfn?: number;
  readonly pages?: number;
}

/** Room for private memory, in sections: four chunks of a device. */
const PRIVATE_SECTIONS = 8;

/** Sections of device memory that the machine's devices may use. */
export function deviceSections(devices: readonly ObservedDevice[]): number {
  let sections = 0;
  for (const { pages } of devices) {
    sections += pages === undefined ? PRIVATE_SECTIONS : Math.ceil(pages / PAGES_PER_SECTION);
  }
  return sections;
}

export class TestDevices {
  readonly #k: Kernel;
  readonly #known: readonly ObservedDevice[];
  readonly #devices: Map<string, DmirrorDevice> = new Map();
  readonly #mirrors: Map<Process, Map<string, Dmirror>> = new Map();

  constructor(k: Kernel, known: readonly ObservedDevice[]) {
    this.#k = k;
    this.#known = known;
  }

  open(process: Process, name: string, place: string): void {
    const own = this.#mirrors.get(process) ?? new Map<string, Dmirror>();
    this.#mirrors.set(process, own);
    own.set(name, Dmirror.open(this.#k, this.#device(name, place), process.task));
  }

  mirror(process: Process, name: string, place: string): Dmirror {
    const mirror = this.#mirrors.get(process)?.get(name);
    if (mirror === undefined) throw new UserError(place, `${process.name} has no ${name} open`);
    return mirror;
  }

  inherit(parent: Process, child: Process, place: string): void {
    for (const name of this.#mirrors.get(parent)?.keys() ?? []) this.open(child, name, place);
  }

  closeAll(process: Process): void {
    for (const mirror of this.#mirrors.get(process)?.values() ?? []) mirror.close();
    this.#mirrors.delete(process);
  }

  #device(name: string, place: string): DmirrorDevice {
    const opened = this.#devices.get(name);
    if (opened !== undefined) return opened;
    const known = this.#known.find((device) => device.name === name);
    if (known === undefined) throw new UserError(place, `the machine has no device ${name}`);
    const device = DmirrorDevice.probe(this.#k, {
      name,
      coherentPfn: known.start_pfn ?? -1,
      nid: this.#k.firstCpuNode(),
    });
    this.#devices.set(name, device);
    return device;
  }
}
