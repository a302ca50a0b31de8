/**
 * Processes of a case: the task, the regions its steps declared, and the memory that every program
 * has before its first step.
 */
import { UserError } from '../base/assert.ts';
import { PAGE_SIZE, type Vpn } from '../base/units.ts';
import {
  accessPage,
  type Kernel,
  type MappedFile,
  mapVdso,
  mmapRegion,
  type Task,
} from '../mm/index.ts';
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from '../uapi/mman.ts';
import type { FileTree } from './fileTree.ts';
import type { Inputs } from './inputs.ts';

/** A mapping under its name; the name keeps meaning the old range after munmap. */
export interface Region {
  start: Vpn;
  pages: number;
  /** Equal content in all pages (`fill: same`). */
  isSame: boolean;
}

export class Process {
  readonly name: string;
  readonly task: Task;
  readonly regions: Map<string, Region> = new Map();
  /** [vdso], [stack], [text]. */
  readonly special: Map<string, Vpn> = new Map();
  /** Signals that are counted instead of ending the process. */
  readonly signals: Map<string, number> = new Map();

  constructor(name: string, task: Task) {
    this.name = name;
    this.task = task;
    task.comm = name;
  }

  region(name: string, place: string): Region {
    const region = this.regions.get(name);
    if (region !== undefined) return region;
    throw new UserError(place, `process ${this.name} has no region ${name}`);
  }

  /** First page number of the range that `region` and `from` of a step name. */
  firstPage(inputs: Inputs, from: string = 'from'): Vpn {
    return this.region(inputs.string('region'), inputs.place).start + inputs.integerOr(from, 0);
  }

  address(inputs: Inputs, from: string = 'from'): number {
    return this.firstPage(inputs, from) * PAGE_SIZE;
  }

  /**
   * A signal arrives: counted if there is a handler, else it ends the process. True if it was
   * counted and the program goes on.
   */
  survives(signal: string): boolean {
    const count = this.signals.get(signal);
    if (count === undefined) return false;
    this.signals.set(signal, count + 1);
    return true;
  }

  /** fork: the child has the same regions. */
  copyNamesTo(child: Process): void {
    for (const [name, region] of this.regions) child.regions.set(name, { ...region });
    for (const [name, vpn] of this.special) child.special.set(name, vpn);
    for (const signal of this.signals.keys()) child.signals.set(signal, 0);
  }
}

const TEXT_START = 0x400;
const TEXT_PAGES = 16;
const HEAP_START = 0x800;
const HEAP_PAGES = 4;
const STACK_PAGES = 8;
const STACK_END = 0x7fffff000;
const PROGRAM = '/init';

export class Programs {
  readonly #k: Kernel;
  readonly #text: MappedFile;
  readonly #vdso: MappedFile | null;

  constructor(k: Kernel, files: FileTree, vdso: MappedFile | null) {
    this.#k = k;
    this.#vdso = vdso;
    this.#text = files.create(PROGRAM);
    this.#text.sizePages = TEXT_PAGES;
  }

  /**
   * A process that has just begun to run. On the 7.3 guest init and main run the same program, so
   * that its text is mapped twice; on the other guests main was alone with it.
   */
  start(name: string, task: Task): Process {
    const process = new Process(name, task);
    const rw = PROT_READ | PROT_WRITE;
    if (name !== 'init' || this.#k.profile.textSharedWithInit) {
      this.#map(process, 'text', TEXT_START, TEXT_PAGES, PROT_READ | PROT_EXEC, this.#text);
    }
    this.#map(process, 'heap', HEAP_START, HEAP_PAGES, rw, null);
    this.#map(process, 'stack', STACK_END - STACK_PAGES, STACK_PAGES, rw, null);
    if (this.#vdso !== null) {
      process.special.set('vdso', mapVdso(this.#k, task, this.#vdso));
      this.useVdso(process);
    }
    return process;
  }

  /** The C library asks for the time: the vDSO page gets mapped. */
  useVdso(process: Process): void {
    const vpn = process.special.get('vdso');
    if (vpn !== undefined) accessPage(this.#k, process.task, vpn, false);
  }

  #map(
    process: Process,
    name: string,
    start: Vpn,
    pages: number,
    prot: number,
    file: MappedFile | null,
  ): void {
    const flags = MAP_PRIVATE | MAP_FIXED | (file === null ? MAP_ANONYMOUS : 0);
    mmapRegion(this.#k, process.task.mm!, { addr: start, pages, prot, flags, file, pgoff: 0 });
    const write = (prot & PROT_WRITE) !== 0;
    for (let n = 0; n < pages; n++) accessPage(this.#k, process.task, start + n, write);
    process.special.set(name, start);
  }
}
