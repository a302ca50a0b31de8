/**
 * A heat source against the truth that only the model knows (B7): everything it reported, and when
 * each page was reported first. What the figures mean is told in docs/model/heat.md.
 *
 * Order: the hottest pages of both sides are as many as the top tier holds; of equals any is right.
 */
import type { Nanoseconds } from '../base/units.ts';
import { HeatTable, type HeatView, heatAgreement, hottestRows, resized } from '../heat/index.ts';
import type { MonitorStats } from './monitors/monitor.ts';
import type { HeatAccuracy } from './runResult.ts';

export class HeatJudge {
  /** All reports of the run. */
  readonly total: HeatTable = new HeatTable();
  /** Row of `total` -> when it came up first. */
  #reportedNs = new Float64Array(1024);

  /** Reports that became visible now. */
  take(heat: HeatView, nowNs: Nanoseconds): void {
    const { pid, vpn, nrPages, reads, writes, nid, lastSeenNs } = heat;
    const { total } = this;
    for (let r = 0; r < heat.nrRows; r++) {
      if (pid[r] < 0) continue;
      const before = total.nrSeen;
      const row = total.see(pid[r], vpn[r], nrPages[r], reads[r], writes[r], nid[r], lastSeenNs[r]);
      if (total.nrSeen === before) continue;
      if (row >= this.#reportedNs.length) {
        this.#reportedNs = resized(this.#reportedNs, new Float64Array(total.pid.length));
      }
      this.#reportedNs[row] = nowNs;
    }
  }

  /**
   * The verdict. `truth` has a row for each base page accessed, with the time of its first access
   * as lastSeenNs; `capacity` is in base pages.
   */
  accuracy(
    source: string,
    stats: MonitorStats,
    truth: HeatView,
    capacity: number,
  ): Omit<HeatAccuracy, 'stale'> {
    const { samples, lost, programNs, backgroundNs } = stats;
    const { precision, recall } = heatAgreement(this.total, truth, capacity);
    const hot = hottestRows(truth, capacity);
    const lags = this.#lags(truth, hot);
    const at = (share: number) =>
      lags.length === 0 ? null : lags[Math.floor((lags.length - 1) * share)];
    return {
      source,
      precision,
      recall,
      found: hot.length === 0 ? 0 : lags.length / hot.length,
      lagNs: at(0.5),
      lag90Ns: at(0.9),
      samples,
      lost,
      programNs,
      backgroundNs,
      costNs: programNs + backgroundNs,
    };
  }

  /** First access to first report of those hot pages that were ever reported, ascending. */
  #lags(truth: HeatView, hot: Int32Array): Float64Array {
    const reportedNs = new Float64Array(truth.nrRows).fill(-1);
    const { total } = this;
    for (let row = 0; row < total.nrRows; row++) {
      if (total.pid[row] < 0) continue;
      const ns = this.#reportedNs[row];
      for (let i = 0; i < total.nrPages[row]; i++) {
        const at = truth.find(total.pid[row], total.vpn[row] + i);
        if (at >= 0 && (reportedNs[at] < 0 || ns < reportedNs[at])) reportedNs[at] = ns;
      }
    }
    const lags = new Float64Array(hot.length);
    let n = 0;
    for (const row of hot) {
      if (reportedNs[row] < 0) continue;
      lags[n++] = Math.max(0, reportedNs[row] - truth.lastSeenNs[row]);
    }
    return lags.subarray(0, n).sort();
  }
}
