/**
 * What holds pages besides page tables: pins under a handle, references in a pipe. A handle or pipe
 * is shared along fork and lets go of its pages when the last process closes it.
 */
import type { FrameId } from '../base/units.ts';
import { type Kernel, putUserPages, type Task } from '../mm/index.ts';
import { unregisterBuffer } from '../syscalls/index.ts';
import type { Process } from './process.ts';

interface Holder {
  readonly pages: FrameId[];
  readonly users: Set<Process>;
  readonly isPin: boolean;
  /** Who pinned: the pages are charged to it. */
  readonly owner: Task;
}

export class References {
  readonly #k: Kernel;
  readonly #byName: Map<string, Holder[]> = new Map();

  constructor(k: Kernel) {
    this.#k = k;
  }

  /** The pages under a name, new if there is none; pins and pipes have names of their own. */
  open(process: Process, name: string, isPin: boolean): FrameId[] {
    const known = (this.#byName.get(name) ?? []).find((holder) => holder.users.has(process));
    if (known !== undefined) return known.pages;
    const holder = { pages: [], users: new Set([process]), isPin, owner: process.task };
    this.#byName.set(name, [...(this.#byName.get(name) ?? []), holder]);
    return holder.pages;
  }

  /** Lets go of the pages; the handle stays. */
  release(process: Process, name: string): void {
    for (const holder of this.#byName.get(name) ?? []) {
      if (holder.users.has(process)) this.#drop(holder);
    }
  }

  close(process: Process, name: string): void {
    for (const holder of this.#byName.get(name) ?? []) this.#leave(holder, process);
  }

  /** fork: the child has the same handles and pipes open. */
  inherit(parent: Process, child: Process): void {
    for (const holders of this.#byName.values()) {
      for (const holder of holders) if (holder.users.has(parent)) holder.users.add(child);
    }
  }

  /** exit: everything the process has open. */
  closeAll(process: Process): void {
    for (const holders of this.#byName.values()) {
      for (const holder of holders) this.#leave(holder, process);
    }
  }

  #leave(holder: Holder, process: Process): void {
    if (holder.users.delete(process) && holder.users.size === 0) this.#drop(holder);
  }

  #drop(holder: Holder): void {
    if (holder.isPin) unregisterBuffer(this.#k, holder.owner, holder.pages);
    else putUserPages(this.#k, holder.pages);
    holder.pages.length = 0;
  }
}
