/**
 * Nomad (Xiang et al., OSDI'24): a hint fault never migrates, it only queues the page; a page found
 * hot again is promoted in the background by a transaction that a write aborts, and slow memory
 * keeps its old copy as a shadow, to which it is demoted for nothing. TI-70..TI-75.
 *
 * Decides on: hint faults of slow pages. Order: outcomes, sightings, then the pending queue in its
 * order, as far as fast nodes have room. Room is kswapd's: demotion is TPP's, on which Nomad is
 * built (demote_scale_factor). What is modelled in mm/shadowPages.ts: transactions, shadows, their
 * write protection, demotion by remapping, reclaim of shadows under pressure.
 *
 * Deviates: hot again is a second hint fault; the original looks at the accessed bit and the active
 * list when it goes through its promotion candidates.
 * Deviates: kpromote is the policy's period.
 * Deviates: the thrash guard (TI-75) is off by default; what it is to do is not laid down: here no
 * page is promoted for a while once more than a share of the latest transactions were aborted.
 */
import type { Nanoseconds } from '../base/units.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { PageIndex, ROWS_INITIAL, resized } from '../heat/index.ts';
import { EAGAIN, EBUSY } from '../uapi/errno.ts';
import { heatSettings } from './heatSources.ts';
import type { HostView } from './hostView.ts';
import { integerKnob, type KnobValues, numberKnob, numberOf } from './knob.ts';
import { KEY_VIRTUAL, type MigrationPlan, REASON_PROMOTE } from './migrationPlan.ts';
import { NO_SETTINGS, type Policy, type PolicyDescription, type PolicyNeeds } from './policy.ts';
import { Room } from './room.ts';

const MILLION = 1_000_000;

export const nomad: PolicyDescription = {
  name: 'nomad',
  summary: 'Nomad: promotion by transactions that writes abort, shadow copies in slow memory',
  requires: "a kernel with Nomad's patches: transactions and shadow pages",
  source: "Xiang et al., Nomad, OSDI'24",
  knobs: [
    numberKnob('scanDelay', 1000, 0, 60_000, 'ms', 'age of a program at its first scan'),
    numberKnob('scanPeriod', 1000, 1, 60_000, 'ms', 'time between two scans'),
    numberKnob('scanSize', 256, 1, 1 << 20, 'MiB', 'memory marked in one scan'),
    integerKnob('demoteScale', 200, 1, 10_000, '', '1/10000 of a fast zone: kept free by demotion'),
    numberKnob('period', 10, 0.001, 10_000, 'ms', 'between two rounds of kpromote'),
    numberKnob('migrateRate', 10, 0.001, 1000, 'GB/s', 'most that a round migrates'),
    integerKnob('candidates', 65536, 1, 1 << 24, 'pages', 'that wait to be seen again, at most'),
    integerKnob('retries', 3, 0, 1000, '', 'of a transaction that a write aborted'),
    numberKnob('abortLimit', 1, 0, 1, '', 'share of aborts that stops promotion; 1 = none does'),
    numberKnob('throttle', 100, 0, 600_000, 'ms', 'for which it is stopped'),
  ],
  sooner: ['scanDelay', 'scanPeriod'],
  make: (values) => new Nomad(values),
};

/** What becomes of a page. */
const CANDIDATE = 0;
const PENDING = 1;
const MIGRATING = 2;

class Nomad implements Policy {
  readonly name = 'nomad';
  readonly needs: PolicyNeeds;
  readonly settings;
  readonly periodNs: Nanoseconds;
  readonly planCapacity = 16384;
  readonly #budgetPages: number;
  readonly #candidatesMax: number;
  readonly #retries: number;
  readonly #pages = new PageIndex();
  #state = new Uint8Array(ROWS_INITIAL);
  #tries = new Int32Array(ROWS_INITIAL);
  /** Rows of candidates and of pending pages, oldest first; some have gone on since. */
  #candidates: number[] = [];
  #pending: number[] = [];
  readonly #guard: ThrashGuard;
  /** Of the pending pages, those counted as put off. */
  #deferred = 0;
  /** Base pages whose promotion the thrash guard put off. */
  deferredPages = 0;

  constructor(values: KnobValues) {
    const heatKnobs = {
      scanDelay: numberOf(values, 'scanDelay'),
      scanPeriod: numberOf(values, 'scanPeriod'),
      scanSize: numberOf(values, 'scanSize'),
    };
    this.periodNs = Math.round(numberOf(values, 'period') * MILLION);
    this.#budgetPages = Math.floor((numberOf(values, 'migrateRate') * this.periodNs) / PAGE_SIZE);
    this.#candidatesMax = numberOf(values, 'candidates');
    this.#retries = numberOf(values, 'retries');
    const throttleNs = numberOf(values, 'throttle') * MILLION;
    this.#guard = new ThrashGuard(numberOf(values, 'abortLimit'), throttleNs);
    this.needs = {
      heat: 'hint-faults',
      heatKnobs,
      residencyPeriodNs: 0,
      vmstat: [],
      futureWindows: 0,
    };
    this.settings = {
      ...NO_SETTINGS,
      sysctl: {
        ...heatSettings({ heat: 'hint-faults', heatKnobs }),
        // Slow pages alone are marked; a rate limit of 0 leaves promotion to the queue.
        numa_balancing: 2,
        demotion_enabled: true,
        demote_scale_factor: numberOf(values, 'demoteScale'),
      },
    };
  }

  decide(view: HostView, plan: MigrationPlan): void {
    this.#takeOutcome(view);
    this.#takeFaults(view);
    if (this.#guard.isClosed(view.nowNs)) {
      this.deferredPages += this.#pending.length - this.#deferred;
      this.#deferred = this.#pending.length;
      return;
    }
    this.#deferred = 0;
    const room = new Room(view.nodes, () => 0);
    let left = this.#budgetPages - view.pendingPages;
    let next = 0;
    for (; next < this.#pending.length && left > 0; next++) {
      const row = this.#pending[next];
      if (this.#state[row] !== PENDING || this.#pages.pid[row] < 0) continue;
      const target = room.promotionTarget(1);
      if (target < 0) break;
      const { pid, vpn } = this.#pages;
      if (!plan.migrateTransactional(pid[row], vpn[row], 1, target, REASON_PROMOTE)) break;
      this.#state[row] = MIGRATING;
      room.take(-1, target, 1);
      left--;
    }
    this.#pending.splice(0, next);
  }

  #takeOutcome({ outcome, nowNs }: HostView): void {
    for (let i = 0; i < outcome.nrRows; i++) {
      if (outcome.keyKind[i] !== KEY_VIRTUAL) continue;
      const row = this.#pages.find(outcome.pid[i], outcome.page[i]);
      if (row < 0) continue;
      const status = outcome.status[i];
      const isAgain = status === -EAGAIN || status === -EBUSY;
      this.#guard.count(status === -EAGAIN, nowNs);
      if (isAgain && this.#tries[row] < this.#retries) {
        this.#tries[row]++;
        this.#state[row] = PENDING;
        this.#pending.push(row);
      } else this.#pages.remove(row);
    }
  }

  #takeFaults({ heat, nodes }: HostView): void {
    for (let i = 0; i < heat.nrRows; i++) {
      if (heat.pid[i] < 0 || heat.nid[i] < 0 || nodes.isToptier[heat.nid[i]] === 1) continue;
      const before = this.#pages.nrPages;
      const row = this.#pages.insert(heat.pid[i], heat.vpn[i]);
      if (this.#pages.nrPages > before) this.#queue(row);
      const isAgain = this.#pages.nrPages === before || heat.reads[i] + heat.writes[i] > 1;
      if (!isAgain || this.#state[row] !== CANDIDATE) continue;
      this.#state[row] = PENDING;
      this.#pending.push(row);
    }
  }

  /** A new candidate; the oldest leaves a full queue. */
  #queue(row: number): void {
    const { capacity } = this.#pages;
    if (capacity > this.#state.length) {
      this.#state = resized(this.#state, new Uint8Array(capacity));
      this.#tries = resized(this.#tries, new Int32Array(capacity));
    }
    this.#state[row] = CANDIDATE;
    this.#tries[row] = 0;
    this.#candidates.push(row);
    if (this.#candidates.length <= 2 * this.#candidatesMax) return;
    const old = this.#candidates.splice(0, this.#candidates.length - this.#candidatesMax);
    for (const one of old) {
      if (this.#pages.pid[one] >= 0 && this.#state[one] === CANDIDATE) this.#pages.remove(one);
    }
  }
}

/** Transactions that are looked at together. */
const GUARD_BATCH = 64;

/** TI-75: promotion stops for a while when too many transactions were aborted. */
class ThrashGuard {
  readonly #limit: number;
  readonly #throttleNs: Nanoseconds;
  #done = 0;
  #aborted = 0;
  #closedUntilNs: Nanoseconds = 0;

  constructor(limit: number, throttleNs: Nanoseconds) {
    this.#limit = limit;
    this.#throttleNs = throttleNs;
  }

  count(isAborted: boolean, nowNs: Nanoseconds): void {
    this.#done++;
    if (isAborted) this.#aborted++;
    if (this.#done < GUARD_BATCH) return;
    if (this.#aborted > this.#limit * this.#done) this.#closedUntilNs = nowNs + this.#throttleNs;
    this.#done = 0;
    this.#aborted = 0;
  }

  isClosed(nowNs: Nanoseconds): boolean {
    return nowNs < this.#closedUntilNs;
  }
}
