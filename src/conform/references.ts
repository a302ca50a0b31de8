/**
 * What holds pages besides page tables: pins under a handle, references in a pipe. A handle or pipe
 * is shared along fork and lets go of its pages when the last process closes it.
 */
import type { FrameId } from '../base/units.ts';
import {
  closeHolder,
  type Kernel,
  openHolder,
  type PageHolder,
  putUserPages,
  type Task,
  unpinUserPages,
} from '../mm/index.ts';
import type { Process } from './process.ts';

interface Holder {
  /** As the kernel lists it; its pages. */
  readonly held: PageHolder;
  readonly users: Set<Process>;
  /** Who pinned, and how many pages were charged to it. */
  readonly owner: Task;
  charged: number;
}

export class References {
  readonly #k: Kernel;
  readonly #byName: Map<string, Holder[]> = new Map();

  constructor(k: Kernel) {
    this.#k = k;
  }

  /** The pages under a name, new if there is none; pins and pipes have names of their own. */
  open(process: Process, name: string, kind: string, isPin: boolean): FrameId[] {
    const known = (this.#byName.get(name) ?? []).find((holder) => holder.users.has(process));
    if (known !== undefined) return known.held.pages;
    const held = openHolder(this.#k, { kind, name, isPin }, process.task.tgid);
    const holder = { held, users: new Set([process]), owner: process.task, charged: 0 };
    this.#byName.set(name, [...(this.#byName.get(name) ?? []), holder]);
    return held.pages;
  }

  /** Pages under a name that were charged to their owner besides. */
  charge(process: Process, name: string, pages: number): void {
    const holder = (this.#byName.get(name) ?? []).find((one) => one.users.has(process));
    if (holder !== undefined) holder.charged += pages;
  }

  /** Lets go of the pages; the handle stays. Returns how many it held. */
  release(process: Process, name: string): number {
    let held = 0;
    for (const holder of this.#byName.get(name) ?? []) {
      if (!holder.users.has(process)) continue;
      held += holder.held.pages.length;
      this.#drop(holder);
    }
    return held;
  }

  close(process: Process, name: string): void {
    for (const holder of this.#byName.get(name) ?? []) this.#leave(holder, process);
  }

  /** fork: the child has the same handles and pipes open. */
  inherit(parent: Process, child: Process): void {
    for (const holders of this.#byName.values()) {
      for (const holder of holders) {
        if (!holder.users.has(parent)) continue;
        holder.users.add(child);
        holder.held.pids.add(child.task.tgid);
      }
    }
  }

  /** exit: everything the process has open. */
  closeAll(process: Process): void {
    for (const holders of this.#byName.values()) {
      for (const holder of holders) this.#leave(holder, process);
    }
  }

  #leave(holder: Holder, process: Process): void {
    if (!holder.users.delete(process)) return;
    holder.held.pids.delete(process.task.tgid);
    if (holder.users.size > 0) return;
    this.#drop(holder);
    closeHolder(this.#k, holder.held);
  }

  #drop(holder: Holder): void {
    const { isPin, pages } = holder.held;
    if (isPin) {
      unpinUserPages(this.#k, pages);
      if (holder.owner.mm !== null) holder.owner.mm.pinnedVm -= holder.charged;
      holder.charged = 0;
    } else putUserPages(this.#k, pages);
    pages.length = 0;
  }
}
