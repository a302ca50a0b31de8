/**
 * From frames to pages of programs: what a source that reports by physical address saw, for a
 * policy that decides by virtual address. HS-99, PP-41, PP-72.
 *
 * A row names a frame and the content it had (generation). If the frame has another content by now
 * the row says nothing of the page that lies there: it is dropped and counted as stale. Otherwise
 * the folio's mappings are found as rmap_walk finds them, and each gets the row's counts.
 *
 * Cost: `scanFolioNs` of background time a folio looked up, the kernel's walk. Without help from
 * the kernel a program would read every program's pagemap instead (PP-41). Not modelled: heat of
 * page cache that nobody maps has no virtual address and is left out here; a policy that decides by
 * frames sees it.
 */
import type { FrameId, Nanoseconds } from '../../base/units.ts';
import type { HeatTable, HeatView } from '../../heat/index.ts';
import { type AddressSpace, type Kernel, pageAt, rmapCollect } from '../../mm/index.ts';

export class FrameHeat {
  readonly #k: Kernel;
  /** Sightings of contents that have left their frame. */
  stale = 0;
  backgroundNs: Nanoseconds = 0;

  constructor(k: Kernel) {
    this.#k = k;
  }

  /** Adds the rows of `frames` to `heat`. */
  translate(frames: HeatView, heat: HeatTable): void {
    if (frames.nrSeen === 0) return;
    const pidOf = this.#pids();
    for (let row = 0; row < frames.nrRows; row++) {
      if (frames.pid[row] >= 0) this.#translateRow(frames, row, heat, pidOf);
    }
  }

  #translateRow(
    frames: HeatView,
    row: number,
    heat: HeatTable,
    pidOf: ReadonlyMap<AddressSpace, number>,
  ): void {
    const k = this.#k;
    const frame = k.frames.frameOfPfn(frames.vpn[row]);
    if (frame < 0 || !k.pm.isPresent(frame)) return;
    const { generation } = frames;
    if (generation[row] !== 0 && generation[row] !== k.frames.generation[frame]) {
      this.stale += frames.reads[row] + frames.writes[row];
      return;
    }
    const head = k.frames.headOf(frame);
    this.backgroundNs += k.spec.costs.scanFolioNs;
    if (k.folios.mapcount(head) === 0) return;
    const n = rmapCollect(k, head);
    for (let r = 0; r < n; r++) this.#addMapping(frames, row, heat, pidOf, r, frame - head);
  }

  /** Mapping `r` of the rmap walk, if it has the page of the folio that the row begins with. */
  #addMapping(
    frames: HeatView,
    row: number,
    heat: HeatTable,
    pidOf: ReadonlyMap<AddressSpace, number>,
    r: number,
    offset: number,
  ): void {
    const k = this.#k;
    const { vma, vpn, sub, nr } = k.rmap;
    const pid = pidOf.get(vma[r].mm);
    if (pid === undefined || offset + frames.nrPages[row] <= sub[r] || offset >= sub[r] + nr[r]) {
      return;
    }
    const first = Math.max(offset, sub[r]);
    const pages = Math.min(offset + frames.nrPages[row], sub[r] + nr[r]) - first;
    const at = vpn[r] + first - sub[r];
    const frame: FrameId = k.frames.frameOfPfn(frames.vpn[row]) + first - offset;
    if (pageAt(k, vma[r].mm, at) !== frame) return;
    const { reads, writes, lastSeenNs } = frames;
    heat.see(pid, at, pages, reads[row], writes[row], k.pm.nidOf(frame), lastSeenNs[row]);
  }

  #pids(): Map<AddressSpace, number> {
    const pids = new Map<AddressSpace, number>();
    for (const task of this.#k.tasks.values()) {
      if (task.pid === task.tgid && task.mm !== null) pids.set(task.mm, task.tgid);
    }
    return pids;
  }
}
