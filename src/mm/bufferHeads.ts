/**
 * Buffer heads: a file system's own marks on the blocks of a folio (fs/buffer.c: drop_buffers,
 * try_to_free_buffers; mm/migrate.c: buffer_migrate_lock_buffers, __buffer_migrate_folio).
 * MC-21, MC-40, MC-41, MC-85.
 *
 * PG_PRIVATE says that a folio has some; here is only what makes them busy: those that are locked
 * while their blocks are read or written, and references that a journal or a directory look-up
 * holds. They are counted by folio, not by block.
 */
import { assert } from '../base/assert.ts';
import type { FrameId } from '../base/units.ts';
import { MIGRATE_ASYNC, type MigrateMode } from '../uapi/migrate.ts';
import { PG_DIRTY, PG_PRIVATE } from './frameTable.ts';
import type { Kernel } from './kernel.ts';

export class BufferHeads {
  /** Folios with I/O on buffers of theirs. */
  readonly locked: Set<FrameId> = new Set();
  /** b_count of all buffers of a folio, where it is not 0. */
  readonly references: Map<FrameId, number> = new Map();

  isLocked(head: FrameId): boolean {
    return this.locked.has(head);
  }

  isHeld(head: FrameId): boolean {
    return this.references.has(head);
  }

  /** lock_buffer, for I/O. */
  lock(head: FrameId): void {
    this.locked.add(head);
  }

  /** unlock_buffer, by the end of the I/O. */
  unlock(head: FrameId): void {
    this.locked.delete(head);
  }

  /** get_bh. */
  get(head: FrameId): void {
    this.references.set(head, (this.references.get(head) ?? 0) + 1);
  }

  /** put_bh. */
  put(head: FrameId): void {
    const left = (this.references.get(head) ?? 0) - 1;
    assert(left >= 0, 'a buffer has a reference to give back', head);
    if (left === 0) this.references.delete(head);
    else this.references.set(head, left);
  }

  /** folio_set_bh of all buffers: they belong to `dst` from now on. */
  move(src: FrameId, dst: FrameId): void {
    const count = this.references.get(src);
    if (count === undefined) return;
    this.references.delete(src);
    this.references.set(dst, count);
  }
}

/** try_to_free_buffers: the private data goes, with its reference, unless a buffer is in use. */
export function tryToFreeBuffers(k: Kernel, head: FrameId): boolean {
  const f = k.frames;
  if ((f.flags[head] & PG_PRIVATE) === 0) return true;
  const busy = k.buffers.isLocked(head) || k.buffers.isHeld(head);
  if (busy || (f.flags[head] & PG_DIRTY) !== 0) return false;
  f.flags[head] &= ~PG_PRIVATE;
  k.putFolio(head);
  return true;
}

/**
 * buffer_migrate_lock_buffers, and the count of buffer references for `norefs`: false is -EAGAIN.
 * All folios of the model are up to date, so SYNC_LIGHT sleeps as SYNC does: until the I/O ends.
 */
export function lockBuffersForMigration(
  k: Kernel,
  head: FrameId,
  mode: MigrateMode,
  norefs: boolean,
): boolean {
  if (k.buffers.isLocked(head)) {
    if (mode === MIGRATE_ASYNC) return false;
    k.buffers.unlock(head);
  }
  return !norefs || !k.buffers.isHeld(head);
}
