/**
 * kswapd and kcompactd of a node that gains its first memory after boot, as far as they take
 * memory: a task_struct from a slab of the node and a kernel stack (mm/vmscan.c: kswapd_run;
 * mm/compaction.c: kcompactd_run; kernel/fork.c: dup_task_struct). PM-72.
 *
 * They are the first kernel pages of a node whose first block comes online in a kernel zone, and
 * keep that block from going offline again (PM-60). A node with ZONE_MOVABLE alone has them
 * elsewhere.
 * Not modelled: the same at boot, where reserved pages stand for all kernel memory.
 */
import type { FrameId, Nid } from '../base/units.ts';
import { __GFP_COMP, GFP_KERNEL } from '../uapi/gfp.ts';
import { PGTY_KERNEL, PGTY_SLAB } from './frameTable.ts';
import type { Kernel } from './kernel.ts';
import { allocPages, freePages } from './pageAlloc.ts';

/** kswapd and kcompactd. */
const NR_THREADS = 2;
/** A slab of task_structs. */
const TASK_SLAB_ORDER = 3;
/** 16 KiB of stack, mapped page by page (VMAP_STACK). */
const STACK_PAGES = 4;

interface KernelBlock {
  readonly head: FrameId;
  readonly order: number;
}

export class NodeThreads {
  private readonly k: Kernel;
  private readonly blocks: Map<Nid, KernelBlock[]> = new Map();

  constructor(k: Kernel) {
    this.k = k;
  }

  /** kswapd_run and kcompactd_run. Does nothing if they run. */
  start(nid: Nid): void {
    if (this.blocks.has(nid)) return;
    const blocks: KernelBlock[] = [];
    this.blocks.set(nid, blocks);
    this.#alloc(blocks, nid, TASK_SLAB_ORDER, PGTY_SLAB);
    for (let n = 0; n < NR_THREADS * STACK_PAGES; n++) this.#alloc(blocks, nid, 0, PGTY_KERNEL);
  }

  /** kswapd_stop and kcompactd_stop: the node has lost its last memory. */
  stop(nid: Nid): void {
    for (const { head, order } of this.blocks.get(nid) ?? []) freePages(this.k.pm, head, order);
    this.blocks.delete(nid);
    this.k.kswapdWoken &= ~(1 << nid);
  }

  /** Without memory for it the thread does not start, which Linux logs and survives. */
  #alloc(blocks: KernelBlock[], nid: Nid, order: number, type: number): void {
    const { pm, frames } = this.k;
    const head = allocPages(pm, order, order > 0 ? GFP_KERNEL | __GFP_COMP : GFP_KERNEL, nid, -1);
    if (head < 0) return;
    frames.mapcount[head] = type;
    blocks.push({ head, order });
  }
}
