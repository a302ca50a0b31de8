/**
 * kdamonds in virtual time: each works at the end of its sampling intervals, and what it looks at
 * and migrates takes CPU time (HS-70..HS-86).
 *
 * Cost: `scanFolioNs` for a place marked or looked at and for a folio that a scheme looked at;
 * migrations as the machine's costs say. Deviates: the work itself is instantaneous; its cost does
 * not delay the next interval.
 */
import { UserError } from '../base/assert.ts';
import type { Nanoseconds } from '../base/units.ts';
import type { EventHandler, EventQueue } from '../engine/index.ts';
import { type AccessCost, DEFAULT_KERNEL } from '../hw/index.ts';
import { type Kernel, nextDamonNs, runDamon } from '../mm/index.ts';
import type { DamonTiering, FrameRangeTable } from '../policy/index.ts';
import { type DamonNode, damonFileWrites, fastNids, slowNids } from '../policy/index.ts';
import { writeDamonFile } from '../proc/index.ts';
import { ENOENT } from '../uapi/errno.ts';
import { frameRanges } from './host/frameRanges.ts';
import { NodeRows } from './host/nodeRows.ts';
import type { TierMoves } from './tierMoves.ts';

export class DamonThreads implements EventHandler {
  readonly #k: Kernel;
  readonly #queue: EventQueue;
  readonly #moves: TierMoves;
  backgroundNs: Nanoseconds = 0;

  constructor(k: Kernel, queue: EventQueue, moves: TierMoves) {
    this.#k = k;
    this.#queue = queue;
    this.#moves = moves;
  }

  /** Writes DAMON's files and turns its threads on; nothing on a machine of one tier. */
  start(tiering: DamonTiering, cost: AccessCost): void {
    const k = this.#k;
    const nodes = new NodeRows(k, cost);
    nodes.refresh(new Float64Array(nodes.nrNodes));
    const [fast] = fastNids(nodes);
    const [slow] = slowNids(nodes);
    if (fast === undefined || slow === undefined) return;
    const ranges = frameRanges(k.pm, k.frames);
    const writes = damonFileWrites(tiering, damonNode(ranges, fast), damonNode(ranges, slow));
    for (const { path, value } of writes) {
      const result = writeDamonFile(k, path, value, () => {});
      if (result === 0) continue;
      const kernel = k.spec.kernel ?? DEFAULT_KERNEL;
      const problem =
        result === -ENOENT
          ? `Linux ${kernel} has no ${path}`
          : `${path} does not take ${value} on Linux ${kernel} (errno ${-result})`;
      throw new UserError(
        `policy damon on ${k.spec.name}`,
        problem,
        'the policy is that of Linux 6.16: choose a newer kernel in the machine file',
      );
    }
    this.#queue.schedule(nextDamonNs(k), this);
  }

  onEvent(): void {
    const k = this.#k;
    const before = this.#checks();
    const migratedNs = this.#moves.cpuNs;
    runDamon(k);
    this.backgroundNs += (this.#checks() - before) * k.spec.costs.scanFolioNs;
    this.backgroundNs += this.#moves.cpuNs - migratedNs;
    const next = nextDamonNs(k);
    if (Number.isFinite(next)) this.#queue.schedule(Math.ceil(next), this);
  }

  #checks(): number {
    let checks = 0;
    for (const { work } of this.#k.damon.contexts) checks += work.accessChecks + work.schemeFolios;
    return checks;
  }
}

function damonNode(ranges: FrameRangeTable, nid: number): DamonNode {
  const own: { pfn: number; nrPages: number }[] = [];
  for (let row = 0; row < ranges.nrRows; row++) {
    const before = own[own.length - 1];
    const pfn = ranges.pfn[row];
    const nrPages = ranges.nrPages[row];
    if (ranges.nid[row] !== nid) continue;
    if (before !== undefined && before.pfn + before.nrPages === pfn) before.nrPages += nrPages;
    else own.push({ pfn, nrPages });
  }
  return { nid, ranges: own };
}
