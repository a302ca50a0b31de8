/**
 * An accelerator whose memory the CPU reaches like its own (DEVICE_COHERENT), as Grace Hopper or
 * Frontier have it: pages on it stay mapped, and no CPU access brings them back. What does is the
 * driver: by eviction, or because CPUs used them often enough (D4, D14).
 */
import type { Vpn } from '../base/units.ts';
import { type Kernel, pageAt, type Task } from '../mm/index.ts';
import { Accelerator, type AcceleratorSpec } from './accelerator.ts';

export class CoherentAccelerator extends Accelerator {
  /** Accesses of CPUs by frame, since the page came; counted by the device's own memory. */
  readonly cpuAccesses: Map<number, number> = new Map();

  constructor(k: Kernel, spec: AcceleratorSpec) {
    super(k, spec);
  }

  get isCoherent(): boolean {
    return true;
  }

  /**
   * A CPU has accessed the page at `vpn`: true if it lies on this device, which has counted it.
   * With the counterThreshold-th access the folio goes to system memory.
   */
  noteCpuAccess(task: Task, vpn: Vpn): boolean {
    const page = pageAt(this.k, task.mm!, vpn);
    if (page < 0 || !this.owns(page)) return false;
    const head = this.k.frames.headOf(page);
    const count = (this.cpuAccesses.get(head) ?? 0) + 1;
    this.cpuAccesses.set(head, count);
    if (count >= this.spec.counterThreshold) this.sendHome(task, head);
    return true;
  }

  override folioFree(head: number, order: number): void {
    this.cpuAccesses.delete(head);
    super.folioFree(head, order);
  }
}
