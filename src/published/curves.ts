/**
 * Curves of a table as text: figures of a row over columns of one kind (cold memory, ratios),
 * the published ones beside ours, on one scale.
 */
import type { PublishedTable } from './publishedTable.ts';
import type { Reproduction } from './reproduction.ts';

/** Fewer points are no curve. */
const POINTS_MIN = 3;

const STEPS = '▁▂▃▄▅▆▇█';

/** What stands for a point without a figure. */
const GAP = '·';

export interface Curve {
  readonly row: string;
  /** "440 GB cold … 500 GB cold, of DRAM only". */
  readonly over: string;
  /** One character a column; null where nothing of it was published. */
  readonly published: string | null;
  readonly ours: string;
}

/** Curves of rows that have three points at least. */
export function curvesOf(result: Reproduction): Curve[] {
  const { table, ours } = result;
  return columnGroups(table).flatMap(({ from, to }) => {
    const [first, last] = [table.columns[from]!, table.columns[to - 1]!];
    const unit = first.unit === '' ? '' : `, ${first.unit}`;
    const part = (line: readonly (number | null)[]) => line.slice(from, to);
    const lines = table.rows.map(({ published }, row) => [part(published), part(ours[row]!)]);
    const all = lines.flat(2).filter((figure) => figure !== null);
    const scale = { low: Math.min(...all), high: Math.max(...all) };
    return table.rows.flatMap(({ name }, row): Curve[] => {
      const [theirs, own] = lines[row]!;
      if (own!.filter((figure) => figure !== null).length < POINTS_MIN) return [];
      const isPublished = theirs!.some((figure) => figure !== null);
      const published = isPublished ? sparkline(theirs!, scale) : null;
      const over = `${first.name} … ${last.name}${unit}`;
      return [{ row: name, over, published, ours: sparkline(own!, scale) }];
    });
  });
}

/**
 * Columns beside each other that are read, scaled and related in the same way. Columns with
 * programs or machines of their own are no points of a curve.
 */
function columnGroups({ columns }: PublishedTable): { from: number; to: number }[] {
  const kind = (i: number) => {
    const column = columns[i];
    if (column === undefined) return '';
    const { metric, unit, times, relativeTo, run } = column;
    const isOwn = run.machine !== undefined || run.workload !== undefined;
    return [metric, unit, times, relativeTo, isOwn ? i : ''].join();
  };
  const groups: { from: number; to: number }[] = [];
  for (let from = 0; from < columns.length; ) {
    let to = from + 1;
    while (to < columns.length && kind(to) === kind(from)) to++;
    if (to - from >= POINTS_MIN) groups.push({ from, to });
    from = to;
  }
  return groups;
}

/** Eight heights between the least and the greatest figure of all rows. */
function sparkline(
  figures: readonly (number | null)[],
  { low, high }: { readonly low: number; readonly high: number },
): string {
  const step = (figure: number) => {
    if (high === low) return 0;
    return Math.min(STEPS.length - 1, Math.floor(((figure - low) / (high - low)) * STEPS.length));
  };
  return figures.map((figure) => (figure === null ? GAP : STEPS[step(figure)]!)).join('');
}
