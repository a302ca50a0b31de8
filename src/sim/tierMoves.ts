/**
 * Accounting of every migrated folio: bytes by pair of nodes, promotions and demotions, round trips
 * (mission C6, TI-92), and the CPU time the migration took.
 *
 * A page's identity is its mapping and index, which migration does not change (MC-94).
 * Ping-pong: promoted within `windowNs` of its demotion; both copies then count as wasted.
 */
import { type Bytes, type FrameId, type Nanoseconds, PAGE_SIZE } from '../base/units.ts';
import { type AccessCost, type CostSpec, migrateOverheadNs } from '../hw/index.ts';
import type { Kernel } from '../mm/index.ts';
import { RoundTrips } from './roundTrips.ts';

/** TI-92. */
export const PING_PONG_WINDOW_NS = 60_000_000_000;

export class TierMoves {
  readonly #k: Kernel;
  readonly #cost: AccessCost;
  readonly #costs: CostSpec;
  readonly #demotedAtNs: Map<number, Nanoseconds> = new Map();
  promotedPages = 0;
  demotedPages = 0;
  movedPages = 0;
  pingPongPages = 0;
  wastedBytes: Bytes = 0;
  /** Bytes migrated away from and to each node. */
  readonly readBytes: Float64Array;
  readonly writeBytes: Float64Array;
  readonly roundTrips: RoundTrips;
  /** CPU time of the folios migrated so far; whoever did the work takes the growth. */
  cpuNs: Nanoseconds = 0;
  /** Hears of every folio that changed its tier: its new head, the way, its pages. */
  onTierMove: (head: FrameId, isPromotion: boolean, nr: number) => void = () => {};
  /** Migrations cost nothing: the bound of an oracle (HostSettings.isMigrationFree). */
  isFree = false;

  constructor(k: Kernel, cost: AccessCost, costs: CostSpec) {
    this.#k = k;
    this.#cost = cost;
    this.#costs = costs;
    this.roundTrips = new RoundTrips(k);
    this.readBytes = new Float64Array(k.pm.nodes.length);
    this.writeBytes = new Float64Array(k.pm.nodes.length);
    k.onMigrated = (src, dst, nr) => this.#count(src, dst, nr);
  }

  #count(src: number, dst: number, nr: number): void {
    const k = this.#k;
    const from = k.pm.nidOf(src);
    const to = k.pm.nidOf(dst);
    const bytes = nr * PAGE_SIZE;
    this.movedPages += nr;
    this.readBytes[from] += bytes;
    this.writeBytes[to] += bytes;
    if (!this.isFree && !k.shadows.isRemap) {
      this.#cost.addCopyTraffic(from, to, bytes);
      const entries = Math.max(1, k.folios.mapcount(dst));
      this.cpuNs += migrateOverheadNs(this.#costs, 1, entries, 0, 0);
      this.cpuNs += this.#cost.copyNs(from, to, bytes);
    }
    const wasTop = k.tiers.isToptier(from);
    const isTop = k.tiers.isToptier(to);
    if (wasTop === isTop) return;
    this.onTierMove(dst, isTop, nr);
    const identity = k.frames.mapping[dst] * 2 ** 21 + (k.frames.indexOf(dst) % 2 ** 21);
    if (wasTop) {
      this.demotedPages += nr;
      this.#demotedAtNs.set(identity, k.nowNs);
      return;
    }
    this.promotedPages += nr;
    const demotedAt = this.#demotedAtNs.get(identity);
    if (demotedAt === undefined) return;
    this.#demotedAtNs.delete(identity);
    if (k.nowNs - demotedAt > PING_PONG_WINDOW_NS) return;
    this.pingPongPages += nr;
    this.wastedBytes += 2 * bytes;
    this.roundTrips.add(identity, dst, nr);
  }
}
