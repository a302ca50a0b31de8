/**
 * A memory balloon: pages that a guest takes out of its own use so that the host can have them
 * (drivers/virtio/virtio_balloon.c, mm/balloon.c). MC-74, PM-50 (5).
 *
 * Pages have the type PGTY_OFFLINE, one reference of the balloon's and, if the balloon was made
 * `movable`, the movable_ops operations. Unless `deflateOnOom`, they do not count as managed memory
 * of their zone. Linux inflates by single pages; blocks of 2 MiB are a proposal of the list, in two
 * kinds: split to 512 pages at the start, or kept whole until one of their pages is to move.
 *
 * Order of a migration: host gets dst -> host gives src -> dst on the list -> src freed.
 */
import { assert } from '../base/assert.ts';
import { type FrameId, HPAGE_PMD_NR, HPAGE_PMD_ORDER, type Nid } from '../base/units.ts';
import {
  allocPages,
  type Kernel,
  type MovableOperations,
  PG_LOCKED,
  PGTY_OFFLINE,
  setPageType,
  splitDriverBlock,
} from '../mm/index.ts';
import { ENOENT } from '../uapi/errno.ts';
import {
  __GFP_COMP,
  __GFP_NOMEMALLOC,
  __GFP_NORETRY,
  __GFP_NOWARN,
  GFP_HIGHUSER_MOVABLE,
} from '../uapi/gfp.ts';
import { NR_BALLOON_PAGES, vmEvent } from '../uapi/vmstat.ts';

const BALLOON_INFLATE = vmEvent('balloon_inflate');
const BALLOON_DEFLATE = vmEvent('balloon_deflate');
const BALLOON_MIGRATE = vmEvent('balloon_migrate');

/** What the host says when pages are exchanged: 0, -ENOENT (it takes no more), another errno. */
export type HostAnswer = (inflated: FrameId, deflated: FrameId) => number;

export interface BalloonOptions {
  /** Registers isolate, migrate and putback (CONFIG_BALLOON_MIGRATION). Default true. */
  readonly movable?: boolean;
  /** VIRTIO_BALLOON_F_DEFLATE_ON_OOM: pages stay managed memory. Default false. */
  readonly deflateOnOom?: boolean;
  /** Blocks of 2 MiB: 'at-inflation' splits them at once, 'before-migration' when one moves. */
  readonly splitBlocks?: 'at-inflation' | 'before-migration';
  readonly host?: HostAnswer;
}

export class Balloon implements MovableOperations {
  private readonly k: Kernel;
  private readonly isMovable: boolean;
  private readonly deflateOnOom: boolean;
  private readonly splitBlocks: 'at-inflation' | 'before-migration';
  private readonly host: HostAnswer;
  /** Head frames of what the balloon holds, oldest first; isolated pages are not among them. */
  private readonly entries: Set<FrameId> = new Set();
  /** Pages taken off the list by a migration that has not ended. */
  isolatedPages = 0;
  /** Exchanges with the host: one for every page or block that was inflated or deflated. */
  hostCalls = 0;

  constructor(k: Kernel, options: BalloonOptions = {}) {
    this.k = k;
    this.isMovable = options.movable ?? true;
    this.deflateOnOom = options.deflateOnOom ?? false;
    this.splitBlocks = options.splitBlocks ?? 'at-inflation';
    this.host = options.host ?? (() => 0);
    if (this.isMovable) {
      const result = k.movableOps.set(PGTY_OFFLINE, this);
      assert(result === 0, 'one driver has the pages of type offline');
    }
  }

  /** Frames on the list, blocks by their heads. */
  get pages(): readonly FrameId[] {
    return [...this.entries];
  }

  /** Base pages on the list. */
  get nrPages(): number {
    let sum = 0;
    for (const page of this.entries) sum += this.k.folios.nrPages(page);
    return sum;
  }

  /** balloon_page_alloc and balloon_page_enqueue: up to `nr` pages of a node; how many it got. */
  inflate(nr: number, nid: Nid): number {
    for (let done = 0; done < nr; done++) {
      const page = this.alloc(0, nid);
      if (page < 0) return done;
      this.enqueue(page, 1);
      this.hostCalls++;
    }
    return nr;
  }

  /** Inflates by blocks of 2 MiB; how many blocks it got. */
  inflateBlocks(nr: number, nid: Nid): number {
    const k = this.k;
    for (let done = 0; done < nr; done++) {
      const head = this.alloc(HPAGE_PMD_ORDER, nid);
      if (head < 0) return done;
      this.hostCalls++;
      if (this.splitBlocks === 'at-inflation') {
        splitDriverBlock(k, head);
        for (let n = 0; n < HPAGE_PMD_NR; n++) this.enqueue(head + n, 1);
      } else this.enqueue(head, HPAGE_PMD_NR);
    }
    return nr;
  }

  /**
   * balloon_page_dequeue: gives up to `nr` entries of the list back to the allocator, oldest first.
   * Pages that somebody has locked are passed over.
   */
  deflate(nr: number): number {
    let done = 0;
    for (const page of this.entries) {
      if (done === nr) break;
      if (this.k.frames.has(page, PG_LOCKED)) continue;
      this.entries.delete(page);
      this.hostCalls++;
      this.giveBack(page);
      done++;
    }
    return done;
  }

  /** balloon_page_isolate: false for a page that a deflation has taken meanwhile. */
  isolatePage(page: FrameId): boolean {
    if (!this.entries.delete(page)) return false;
    if (this.k.folios.isLarge(page)) this.splitForMigration(page);
    this.isolatedPages++;
    return true;
  }

  /** balloon_page_migrate with virtballoon_migratepage. */
  migratePage(dst: FrameId, src: FrameId): number {
    const k = this.k;
    const answer = this.host(dst, src);
    if (answer !== 0 && answer !== -ENOENT) return answer;
    this.hostCalls++;
    this.isolatedPages--;
    if (answer === 0) {
      k.folios.get(dst);
      setPageType(k, dst, PGTY_OFFLINE, true);
      this.entries.add(dst);
      k.vmstat.modNode(k.pm.nidOf(dst), NR_BALLOON_PAGES, 1);
      this.countManaged(dst, -1);
      k.vmstat.count(BALLOON_MIGRATE, 1);
    } else k.vmstat.count(BALLOON_DEFLATE, 1);
    this.countManaged(src, 1);
    k.vmstat.modNode(k.pm.nidOf(src), NR_BALLOON_PAGES, -1);
    k.putFolio(src);
    return 0;
  }

  /** balloon_page_putback. */
  putbackPage(page: FrameId): void {
    this.entries.add(page);
    this.isolatedPages--;
  }

  /** Mirrors virtballoon_remove: everything goes back, the operations are taken away. */
  remove(): void {
    assert(this.isolatedPages === 0, 'no page of the balloon is being migrated');
    this.deflate(this.entries.size);
    if (this.isMovable) this.k.movableOps.set(PGTY_OFFLINE, null);
  }

  private alloc(order: number, nid: Nid): FrameId {
    const gfp = GFP_HIGHUSER_MOVABLE | __GFP_NOMEMALLOC | __GFP_NORETRY | __GFP_NOWARN;
    const { pm, folios } = this.k;
    if (order === 0) return allocPages(pm, 0, gfp, nid, -1);
    const head = allocPages(pm, order, gfp | __GFP_COMP, nid, -1);
    if (head >= 0) folios.initLarge(head, false);
    return head;
  }

  private enqueue(page: FrameId, nr: number): void {
    const k = this.k;
    setPageType(k, page, PGTY_OFFLINE, this.isMovable);
    this.entries.add(page);
    k.vmstat.modNode(k.pm.nidOf(page), NR_BALLOON_PAGES, nr);
    k.vmstat.count(BALLOON_INFLATE, nr);
    this.countManaged(page, -nr);
  }

  private giveBack(page: FrameId): void {
    const k = this.k;
    const nr = k.folios.nrPages(page);
    k.vmstat.modNode(k.pm.nidOf(page), NR_BALLOON_PAGES, -nr);
    k.vmstat.count(BALLOON_DEFLATE, nr);
    this.countManaged(page, nr);
    k.putFolio(page);
  }

  /** Split before migration: the other 511 pages become entries of their own. */
  private splitForMigration(head: FrameId): void {
    const k = this.k;
    splitDriverBlock(k, head);
    for (let page = head + 1; page < head + HPAGE_PMD_NR; page++) {
      setPageType(k, page, PGTY_OFFLINE, true);
      this.entries.add(page);
    }
  }

  /** adjust_managed_page_count. */
  private countManaged(page: FrameId, nr: number): void {
    if (!this.deflateOnOom) this.k.pm.adjustManagedPageCount(page, nr);
  }
}
