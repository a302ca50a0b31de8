/**
 * A published table as an experiment: the figures that somebody measured, what we run for each of
 * its cells, and the rules by which ours agrees "in shape". Plain data, made of a YAML file by
 * tableFile.ts.
 *
 * Invariant: the rules are taken from the source and hold on the published figures themselves;
 * tableFile.ts refuses a file where they do not. Machines have hardware figures only; what was
 * chosen with a published figure in view is said in `scaling` and `limits`.
 */
import type { Bytes, Nid, Order } from '../base/units.ts';
import type { KernelVersion, MachineSpec } from '../hw/index.ts';
import type { PolicyChoice, WorkloadSpec } from '../sim/index.ts';

/** V: read in the source. R: recalled, not confirmed. C: computed from figures that were read. */
export type Mark = 'V' | 'R' | 'C';

/** What happens in a cell: a program is replayed, a benchmark saturates, folios are migrated. */
export type Measure = 'program' | 'bandwidth' | 'migration';

/** Cores that keep `lines` cache lines in flight each, all to memory of one node. */
export interface BackgroundPart {
  readonly nid: Nid;
  readonly cores: number;
  readonly lines: number;
  readonly readShare: number;
}

/** A part of what a cell runs; a row's comes over the table's, a column's over both. */
export interface RunPart {
  readonly machine?: string | undefined;
  /** By nid: memory for programs and kernel. */
  readonly sizes?: Readonly<Record<number, Bytes>> | undefined;
  readonly kernel?: KernelVersion | undefined;
  /** Misses that a core has in flight; not given = as the machine or the generator has it. */
  readonly parallelism?: number | undefined;
  /** Settings over those of the machine: what Linux does not scale as the memory is. */
  readonly sysctl?: MachineSpec['sysctl'] | undefined;
  /** program */
  readonly policy?: PolicyChoice | undefined;
  readonly workload?: WorkloadSpec | undefined;
  /** program: knobs of the generator over those of `workload`. */
  readonly params?: WorkloadSpec['params'] | undefined;
  readonly seed?: number | undefined;
  /** program: other cores that keep memory of their own busy. */
  readonly background?: readonly BackgroundPart[] | undefined;
  /** bandwidth: cache lines in flight, by reads and writes, spread over the nodes by weight. */
  readonly lines?: number | undefined;
  readonly readShare?: number | undefined;
  readonly weights?: readonly number[] | undefined;
  /** bandwidth: each node's peak over its share, as if nothing ever queued. */
  readonly isMin?: boolean | undefined;
  /** migration: folios of this order. */
  readonly order?: Order | undefined;
  readonly folios?: number | undefined;
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  /** migration: other CPUs that the program runs on, which TLB flushes interrupt. */
  readonly cpusFlushed?: number | undefined;
}

/** An axis: what its cells run, and how their figure is read. */
export interface TableColumn {
  readonly name: string;
  readonly unit: string;
  /** By metrics.ts. */
  readonly metric: string;
  /** Ours is multiplied by it: what the scaling divided. */
  readonly times: number;
  /** Ours is divided by the cell of this row in the same column; null = it stands as it is. */
  readonly relativeTo: string | null;
  /** Decimals that are printed. */
  readonly digits: number;
  readonly run: RunPart;
}

export interface TableRow {
  readonly name: string;
  readonly run: RunPart;
  /** By column; null = not published. */
  readonly published: readonly (number | null)[];
  /** Of the figures of this row, where it is not that of the table. */
  readonly mark: Mark;
  /** Columns that are run; null = all. The other cells have no figure of ours. */
  readonly only: readonly number[] | null;
}

export interface CellRef {
  readonly row: number;
  readonly column: number;
}

/** Something that figures may or may not do. */
export interface Claim {
  readonly kind: 'falls' | 'rises' | 'ratio' | 'near';
  /**
   * falls, rises: each cell is at least `by` (a share) below or above the one before.
   * ratio: the first over the second. near: each against its published figure.
   */
  readonly cells: readonly CellRef[];
  /** falls, rises: least step as a share. near: largest deviation as a share. */
  readonly by: number;
  /** ratio: bounds. */
  readonly between: readonly [number, number];
}

/** What "agrees in shape" asks for. */
export interface ShapeRule extends Claim {
  /** What it shows, a sentence. */
  readonly means: string;
  /** Why it fails, when it does; '' = nobody knows. */
  readonly whyNot: string;
  /** What our figures do if `whyNot` is true; null where it is not about our figures. */
  readonly shownBy: Claim | null;
}

export interface PublishedTable {
  readonly name: string;
  readonly title: string;
  readonly question: string;
  readonly source: string;
  readonly mark: Mark;
  readonly measure: Measure;
  /** What is smaller than in the source, and by how much; a sentence each. */
  readonly scaling: readonly string[];
  /** What makes ours something else than theirs whatever the figures say; a sentence each. */
  readonly limits: readonly string[];
  readonly rowTitle: string;
  readonly run: RunPart;
  readonly columns: readonly TableColumn[];
  readonly rows: readonly TableRow[];
  readonly rules: readonly ShapeRule[];
}

/** What a cell runs: the parts laid over each other. */
export function cellRun(table: PublishedTable, { row, column }: CellRef): RunPart {
  const upon = laidOver(table.run, table.rows[row]!.run);
  return laidOver(upon, table.columns[column]!.run);
}

function laidOver(under: RunPart, over: RunPart): RunPart {
  const given = Object.entries(over).filter(([, value]) => value !== undefined);
  return {
    ...under,
    ...Object.fromEntries(given),
    params: { ...under.params, ...over.params },
    sizes: { ...under.sizes, ...over.sizes },
    sysctl: { ...under.sysctl, ...over.sysctl },
  };
}

/** "default / 440 GB"; the row alone where there is one column. */
export function cellName(table: PublishedTable, { row, column }: CellRef): string {
  const name = table.rows[row]!.name;
  return table.columns.length === 1 ? name : `${name} / ${table.columns[column]!.name}`;
}
