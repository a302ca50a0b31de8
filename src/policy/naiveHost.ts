/** A host for tests of policies: it sees and does what a real one would, as simply as it can. */
import { assert } from '../base/assert.ts';
import { RandomStream } from '../base/prng.ts';
import { HPAGE_PMD_NR } from '../base/units.ts';
import { HeatTable } from '../heat/index.ts';
import { EBUSY } from '../uapi/errno.ts';
import {
  ACTION_SPLIT,
  type FutureTable,
  findPolicy,
  type HostView,
  MigrationPlan,
  type Policy,
  REASON_PROMOTE,
  resolveKnobs,
} from './index.ts';

export const PID = 100;

/** Two nodes, 0 fast and 1 slow; a page is an entry of a Map; plans are carried out at once. */
export class NaiveHost {
  readonly capacity: readonly [number, number];
  readonly where = new Map<number, number>();
  readonly heat = new HeatTable();
  readonly frameHeat = new HeatTable();
  /** First pages of huge pages. */
  readonly huge = new Set<number>();
  /** Pages that answer -EBUSY. */
  readonly busy = new Set<number>();
  future: FutureTable | null = null;
  /** Loaded latency, and bytes since the last round, by node. */
  loadedNs = [100, 250];
  traffic = [0, 0];
  nowNs = 0;
  migrated = 0;
  #outcome: { page: number; nrPages: number; nid: number; reason: number; status: number }[] = [];
  #moved: number[] = [];

  constructor(fastPages: number, slowPages: number) {
    this.capacity = [fastPages, slowPages];
  }

  /** First touch of pages [from, to). */
  touch(from: number, to: number): void {
    for (let vpn = from; vpn < to; vpn++) this.where.set(vpn, this.free(0) > 0 ? 0 : 1);
  }

  /** First touch of a huge page at `vpn`. */
  touchHuge(vpn: number): void {
    const nid = this.free(0) >= HPAGE_PMD_NR ? 0 : 1;
    for (let page = vpn; page < vpn + HPAGE_PMD_NR; page++) this.where.set(page, nid);
    this.huge.add(vpn);
  }

  free(nid: number): number {
    let used = 0;
    for (const at of this.where.values()) if (at === nid) used++;
    return this.capacity[nid] - used;
  }

  on(nid: number): number[] {
    return [...this.where].filter(([, at]) => at === nid).map(([vpn]) => vpn);
  }

  view(policy: Policy): HostView {
    const o = this.#outcome;
    const moved = this.#moved;
    const view: HostView = {
      nowNs: this.nowNs,
      intervalNs: policy.periodNs,
      nodes: {
        nrNodes: 2,
        hasCpu: Uint8Array.of(1, 0),
        isToptier: Uint8Array.of(1, 0),
        capacity: Float64Array.from(this.capacity),
        free: Float64Array.of(this.free(0), this.free(1)),
        incoming: new Float64Array(2),
        low: new Float64Array(2),
        high: new Float64Array(2),
        promo: new Float64Array(2),
        latencyNs: Float64Array.of(100, 250),
        loadedLatencyNs: Float64Array.from(this.loadedNs),
        trafficBytes: Float64Array.from(this.traffic),
        bandwidth: Float64Array.of(100, 20),
        interleaveWeight: Uint8Array.of(5, 1),
        demotionNid: Int8Array.of(1, -1),
      },
      heat: this.heat,
      frameHeat: this.frameHeat,
      // Frames of node 0 from 0 on, those of node 1 behind them.
      frameRanges: {
        nrRows: 2,
        pfn: Float64Array.of(0, this.capacity[0]),
        nrPages: Float64Array.from(this.capacity),
        nid: Int8Array.of(0, 1),
      },
      residency: this.#walk(),
      vmstat: new Map(),
      outcome: {
        nrRows: o.length,
        keyKind: new Uint8Array(o.length),
        pid: new Int32Array(o.length).fill(PID),
        page: Float64Array.from(o, (row) => row.page),
        nrPages: Int32Array.from(o, (row) => row.nrPages),
        targetNid: Int8Array.from(o, (row) => row.nid),
        reason: Uint8Array.from(o, (row) => row.reason),
        status: Int16Array.from(o, (row) => row.status),
        migratedPages: Int32Array.from(moved),
      },
      pendingPages: 0,
      future: this.future,
    };
    return view;
  }

  /** One round; returns the plan's rows as text. */
  round(policy: Policy): string[] {
    const plan = new MigrationPlan(policy.planCapacity);
    policy.decide(this.view(policy), plan);
    this.heat.clear();
    this.frameHeat.clear();
    this.nowNs += policy.periodNs;
    this.#outcome = [];
    this.#moved = [];
    const rows: string[] = [];
    for (let row = 0; row < plan.nrRows; row++) {
      const page = plan.page[row];
      const nrPages = plan.nrPages[row];
      const nid = plan.targetNid[row];
      const reason = plan.reason[row];
      if (plan.action[row] === ACTION_SPLIT) {
        rows.push(`split ${page}+${nrPages}`);
        this.huge.delete(page);
        this.#outcome.push({ page, nrPages, nid, reason, status: 0 });
        this.#moved.push(0);
        continue;
      }
      rows.push(`${reason === REASON_PROMOTE ? 'promote' : 'demote'} ${page}+${nrPages}>${nid}`);
      let status = nid;
      let moved = 0;
      for (let vpn = page; vpn < page + nrPages; vpn++) {
        const at = this.where.get(vpn);
        if (at === undefined || at === nid) continue;
        if (this.busy.has(vpn)) {
          status = -EBUSY;
          continue;
        }
        this.where.set(vpn, nid);
        moved++;
      }
      assert(this.free(nid) >= 0, 'a plan does not fit', nid);
      this.migrated += moved;
      this.#outcome.push({ page, nrPages, nid, reason, status });
      this.#moved.push(moved);
    }
    return rows;
  }

  sample(vpn: number, reads: number, writes: number): void {
    this.heat.see(PID, vpn, 1, reads, writes, this.where.get(vpn) ?? -1, this.nowNs);
  }

  #walk() {
    const vpns = [...this.where.keys()].sort((a, b) => a - b);
    return {
      nrRows: vpns.length,
      pid: new Int32Array(vpns.length).fill(PID),
      vpn: Float64Array.from(vpns),
      nrPages: new Int32Array(vpns.length).fill(1),
      folioPages: Int32Array.from(vpns, (vpn) => {
        const isHuge = this.huge.has(vpn - (vpn % HPAGE_PMD_NR));
        return isHuge ? HPAGE_PMD_NR : 1;
      }),
      nid: Int8Array.from(vpns, (vpn) => this.where.get(vpn)!),
    };
  }
}

/** A policy of the list with some of its knobs set. */
export function makePolicy(name: string, params: Record<string, unknown> = {}): Policy {
  const description = findPolicy(name)!;
  const { values, problems } = resolveKnobs(description.knobs, params);
  assert(problems.length === 0, problems[0]?.problem ?? '');
  return description.make(values, new RandomStream(1, `policy/${name}`));
}
