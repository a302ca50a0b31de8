/** The devices of a world, one with private and one with coherent memory, and their mirrors. */
import { Dmirror, DmirrorDevice, HPAGE_PMD_NR, type Kernel, type Task } from './kernelDoor.ts';
import { mirrorStaleness } from './mirrorCheck.ts';

const COHERENT_PFN = 2 ** 22;
/** One section. */
const CHUNK_PAGES = 32768;

export interface SavedDevices {
  readonly devices: Map<boolean, DmirrorDevice>;
  readonly mirrors: Dmirror[];
}

export class FuzzDevices {
  #k: Kernel;
  /** By whether the memory is coherent. */
  #devices: Map<boolean, DmirrorDevice> = new Map();
  #mirrors: Dmirror[] = [];

  constructor(k: Kernel) {
    this.#k = k;
  }

  /** What to save beside the kernel, to adopt with the restored one. */
  get saved(): SavedDevices {
    return { devices: this.#devices, mirrors: this.#mirrors };
  }

  adopt(k: Kernel, { devices, mirrors }: SavedDevices): void {
    this.#k = k;
    this.#devices = devices;
    this.#mirrors = mirrors;
  }

  device(coherent: boolean): DmirrorDevice {
    const known = this.#devices.get(coherent);
    if (known !== undefined) return known;
    const coherentPfn = coherent ? COHERENT_PFN : -1;
    const device = DmirrorDevice.probe(this.#k, {
      name: 'fuzz',
      coherentPfn,
      nid: 0,
      chunkPages: CHUNK_PAGES,
    });
    this.#devices.set(coherent, device);
    return device;
  }

  /** The mirror of a task's address space; opened when it is first asked for. */
  mirror(task: Task, coherent: boolean): Dmirror {
    const device = this.device(coherent);
    this.#dropDead();
    const known = this.#mirrors.find((one) => one.mm === task.mm && one.device === device);
    if (known !== undefined) return known;
    const mirror = Dmirror.open(this.#k, device, task);
    this.#mirrors.push(mirror);
    return mirror;
  }

  /** Mirrors of address spaces that are gone are closed. */
  #dropDead(): void {
    this.#mirrors = this.#mirrors.filter((mirror) => {
      if (this.#k.spaces[mirror.mm.id] === mirror.mm) return true;
      mirror.close();
      return false;
    });
  }

  /** All that can give their memory up. */
  releaseAll(task: Task): void {
    for (const device of this.#devices.values()) device.release(task);
  }

  /** DM-3: what a mirror says of a page is what its entry says: nobody forgot to call. */
  compareMirrors(wrong: string[]): void {
    this.#dropDead();
    for (const { mm, table } of this.#mirrors) {
      for (const [vpn, entry] of table) {
        const stale = mirrorStaleness(this.#k, mm, vpn, Math.floor(entry / 4), entry % 4);
        if (stale !== '') wrong.push(`DM-3: mirror of page ${vpn} of mm ${mm.id}: ${stale}`);
      }
    }
  }

  /** Preconditions: all processes have ended. What is left, as sentences. */
  tearDown(): string[] {
    const left: string[] = [];
    this.#dropDead();
    if (this.#mirrors.length > 0) left.push('DM-53: a mirror outlives its address space');
    for (const device of this.#devices.values()) {
      let live = 0;
      for (const chunk of device.chunks) live += this.#k.devices.livePages(chunk);
      if (live !== 0) left.push(`DM-50: ${live} device pages never freed`);
      let free = device.freePages.length + device.freeFolios.length * HPAGE_PMD_NR;
      for (const { start, end } of device.fresh) free += end - start;
      for (const { nrPages } of device.chunks) free -= nrPages;
      if (free !== 0) left.push(`DM-50: the device has ${free} free pages too many`);
    }
    return left;
  }
}
