/**
 * io_uring_register(2) for buffers: a table of registered buffers that requests name by index
 * (io_uring/rsrc.c: io_sqe_buffers_register, __io_sqe_buffers_update, io_buffer_validate).
 * PM-5, PM-10, PM-24a.
 *
 * Not modelled: buffers cloned from another ring, kernel buffers, requests that still use a buffer
 * which is taken out (its pins go at once).
 */
import { closeHolder, type Kernel, openHolder, type PageHolder, type Task } from '../mm/index.ts';
import { EBUSY, EFAULT, EINVAL, ENXIO, EOVERFLOW } from '../uapi/errno.ts';
import { type RegisteredBuffer, registerBuffer, unregisterBuffer } from './registerBuffers.ts';

/** struct iovec; base 0 and length 0 is an empty slot. */
export interface Iovec {
  readonly base: number;
  readonly len: number;
}

const IORING_MAX_REG_BUFFERS = 1 << 14;
const BUFFER_BYTES_MAX = 2 ** 30;

export class IoUring {
  private readonly k: Kernel;
  private readonly task: Task;
  /** null: nothing registered; slots without a buffer are null. */
  private slots: (RegisteredBuffer | null)[] | null = null;
  /** By slot: as the kernel lists who holds the pages. */
  private readonly holders: Map<number, PageHolder> = new Map();

  constructor(k: Kernel, task: Task) {
    this.k = k;
    this.task = task;
  }

  /** The buffer of a slot, or null. */
  buffer(slot: number): RegisteredBuffer | null {
    return this.slots?.[slot] ?? null;
  }

  /**
   * IORING_REGISTER_BUFFERS: all, or none and the errno of the first that failed. -EBUSY: there is
   * a table already; -EINVAL: no or too many buffers.
   */
  register(iovecs: readonly Iovec[]): number {
    if (this.slots !== null) return -EBUSY;
    if (iovecs.length === 0 || iovecs.length > IORING_MAX_REG_BUFFERS) return -EINVAL;
    this.slots = iovecs.map(() => null);
    for (let n = 0; n < iovecs.length; n++) {
      const result = this.fill(n, iovecs[n]);
      if (result === 0) continue;
      this.unregister();
      return result;
    }
    return 0;
  }

  /**
   * IORING_REGISTER_BUFFERS_UPDATE from slot `offset` on: how many slots are new, or the errno of
   * the first. The new buffer is pinned before the old one is let go. -ENXIO: no table; -EINVAL:
   * beyond its end.
   */
  update(offset: number, iovecs: readonly Iovec[]): number {
    if (iovecs.length === 0) return -EINVAL;
    if (this.slots === null) return -ENXIO;
    if (offset + iovecs.length > this.slots.length) return -EINVAL;
    for (let n = 0; n < iovecs.length; n++) {
      const result = this.fill(offset + n, iovecs[n]);
      if (result !== 0) return n > 0 ? n : result;
    }
    return iovecs.length;
  }

  /** IORING_UNREGISTER_BUFFERS, and what closing the ring does. -ENXIO: no table. */
  unregister(): number {
    if (this.slots === null) return -ENXIO;
    this.slots.forEach((buffer, slot) => {
      this.drop(slot, buffer);
    });
    this.slots = null;
    return 0;
  }

  private fill(slot: number, { base, len }: Iovec): number {
    const slots = this.slots as (RegisteredBuffer | null)[];
    let fresh: RegisteredBuffer | null = null;
    if (base === 0 && len !== 0) return -EFAULT;
    if (base !== 0) {
      if (len <= 0 || len > BUFFER_BYTES_MAX) return -EFAULT;
      if (base + len > 2 ** 52) return -EOVERFLOW;
      const others = slots.filter((one) => one !== null);
      const result = registerBuffer(this.k, this.task, base, len, others);
      if (typeof result === 'number') return result;
      fresh = result;
    }
    this.drop(slot, slots[slot]);
    slots[slot] = fresh;
    if (fresh !== null) {
      const of = { kind: 'io_uring registered buffer', name: `buffer ${slot}`, isPin: true };
      const holder = openHolder(this.k, of, this.task.tgid);
      for (const page of fresh.pages) holder.pages.push(page);
      this.holders.set(slot, holder);
    }
    return 0;
  }

  private drop(slot: number, buffer: RegisteredBuffer | null): void {
    if (buffer !== null) unregisterBuffer(this.k, buffer);
    const holder = this.holders.get(slot);
    if (holder !== undefined) closeHolder(this.k, holder);
    this.holders.delete(slot);
  }
}
