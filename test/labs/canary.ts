/** Changed figures: what a verdict must notice. */
import { type Cell, type Figure, judged, type Lab, type LabResult } from '../../src/labs/index.ts';

/** A new value for a cell, found by figure, the first cells of its row, and column. */
export interface Change {
  readonly figure: string;
  /** [] = every row. */
  readonly row: readonly Cell[];
  readonly column: string;
  readonly to: Cell;
}

/** The lab's result had the figures been others. */
export function withFigures(lab: Lab, result: LabResult, changes: readonly Change[]): LabResult {
  const figures = result.figures.map((figure) => {
    const own = changes.filter((change) => change.figure === figure.id);
    return own.reduce(changed, figure);
  });
  const { published, data, knobs, seed, version } = result;
  return judged(lab, knobs, seed, { figures, published, data }, version);
}

function changed(figure: Figure, { row, column, to }: Change): Figure {
  const at = figure.columns.findIndex(({ name }) => name === column);
  if (at < 0) throw new Error(`${figure.id} has no column ${column}`);
  let nr = 0;
  const rows = figure.rows.map((cells) => {
    if (!row.every((cell, i) => cells[i] === cell)) return cells;
    nr++;
    return cells.map((cell, i) => (i === at ? to : cell));
  });
  if (nr === 0) throw new Error(`${figure.id} has no row ${row.join(' ')}`);
  return { ...figure, rows };
}
