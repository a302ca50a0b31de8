/**
 * Who holds pages besides page tables, lists and caches: buffers registered with a ring, pins of a
 * driver, buffers in a pipe. Linux keeps them in the objects that did it (struct io_mapped_ubuf,
 * struct pipe_buffer, a driver's own), not with the page, so that no page tells (PM-119). Here they
 * are listed, for answers to people: nothing of the kernel asks this.
 */
import type { FrameId } from '../base/units.ts';
import type { Kernel } from './kernel.ts';

export interface PageHolder {
  readonly id: number;
  /** What it is: 'io_uring registered buffer', 'pipe'. */
  readonly kind: string;
  /** Its handle. */
  readonly name: string;
  /** Whether its references are pins (FOLL_PIN) or plain ones (FOLL_GET). */
  readonly isPin: boolean;
  /** Processes that have it open. */
  readonly pids: Set<number>;
  /** A page as often as it is held; tails as they are. */
  readonly pages: FrameId[];
}

export function openHolder(
  k: Kernel,
  of: { readonly kind: string; readonly name: string; readonly isPin: boolean },
  pid: number,
): PageHolder {
  const holder = { id: k.nextHolderId++, ...of, pids: new Set([pid]), pages: [] };
  k.holders.set(holder.id, holder);
  return holder;
}

/** Preconditions: its references are given back. */
export function closeHolder(k: Kernel, holder: PageHolder): void {
  holder.pages.length = 0;
  k.holders.delete(holder.id);
}

/** Holders of a folio, with how often each holds a page of it. */
export function holdersOf(k: Kernel, head: FrameId): { holder: PageHolder; times: number }[] {
  const found: { holder: PageHolder; times: number }[] = [];
  for (const holder of k.holders.values()) {
    const times = holder.pages.filter((page) => k.frames.headOf(page) === head).length;
    if (times > 0) found.push({ holder, times });
  }
  return found;
}
