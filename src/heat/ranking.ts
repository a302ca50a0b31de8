/**
 * The hottest pages of a table, and how well one table's ranking agrees with another's: what a heat
 * source is worth (precision and recall against the truth that only a model knows).
 */
import type { HeatView } from './heatTable.ts';

/** Rows in use by reads + writes, hottest first; ties by pid, then vpn. */
export function rankRows(heat: HeatView): Int32Array {
  const rows = new Int32Array(heat.nrSeen);
  let n = 0;
  for (let row = 0; row < heat.nrRows; row++) if (heat.pid[row] >= 0) rows[n++] = row;
  return rows.sort(
    (a, b) =>
      heat.reads[b] + heat.writes[b] - (heat.reads[a] + heat.writes[a]) ||
      heat.pid[a] - heat.pid[b] ||
      heat.vpn[a] - heat.vpn[b],
  );
}

/** The hottest rows that fit `capacity` base pages together; a row that does not fit ends it. */
export function hottestRows(heat: HeatView, capacity: number): Int32Array {
  const ranked = rankRows(heat);
  let pages = 0;
  let n = 0;
  while (n < ranked.length && pages + heat.nrPages[ranked[n]] <= capacity) {
    pages += heat.nrPages[ranked[n++]];
  }
  return ranked.subarray(0, n);
}

export interface HeatAgreement {
  /** Of the base pages that `seen` ranks hottest, the share that `truth` does too. */
  readonly precision: number;
  /** Of the base pages that `truth` ranks hottest, the share that `seen` does too. */
  readonly recall: number;
}

/**
 * Compares the hottest `capacity` pages of a source with those of the truth, whose rows stand for
 * base pages. Pages as hot as the coldest of the truth's hottest ones count as right: which of
 * equals is chosen is no error. 0 and 0 if either has none.
 */
export function heatAgreement(seen: HeatView, truth: HeatView, capacity: number): HeatAgreement {
  const best = hottestRows(truth, capacity);
  const chosen = hottestRows(seen, capacity);
  if (best.length === 0 || chosen.length === 0) return { precision: 0, recall: 0 };
  const last = best[best.length - 1];
  const least = truth.reads[last] + truth.writes[last];
  let nrChosen = 0;
  let nrRight = 0;
  for (const row of chosen) {
    for (let i = 0; i < seen.nrPages[row]; i++) {
      const at = truth.find(seen.pid[row], seen.vpn[row] + i);
      nrChosen++;
      if (at >= 0 && truth.reads[at] + truth.writes[at] >= least) nrRight++;
    }
  }
  return { precision: nrRight / nrChosen, recall: Math.min(1, nrRight / best.length) };
}
