/**
 * What a lab is: an argument of a mailing-list thread as an experiment on the model. It asks
 * a question, builds machines, measures figures, and says in a sentence what they show.
 *
 * Invariant: the verdict and the findings are functions of the figures and of nothing else, so they
 * change when the figures do. Figures are plain data: stored, printed and drawn elsewhere.
 */
import type { ExperimentalFeature } from '../hw/index.ts';
import type { Knob, KnobValues } from '../policy/index.ts';
import type { FigureReader } from './figureReader.ts';

/** null = not measured. */
export type Cell = string | number | null;

export interface FigureColumn {
  readonly name: string;
  /** 'MiB', 'pages', '%', ...; '' for names and plain numbers. */
  readonly unit: string;
}

/** What a colour or a pattern stands for, the same in every lab. */
export type Shade = 'kernel' | 'pinned' | 'user' | 'free' | 'before' | 'after' | 'third' | 'fourth';

export interface Part {
  /** A column's name. */
  readonly column: string;
  readonly shade: Shade;
  /** A gap stands before it: another zone, another node. */
  readonly isApart?: boolean;
}

/** How a figure is drawn; columns are named by `FigureColumn.name`. */
export type Drawing =
  /** A bar a row, from 0 on, its parts one after the other. Labels are columns. */
  | { readonly kind: 'bars'; readonly labels: readonly string[]; readonly parts: readonly Part[] }
  /**
   * A line a series over the column x, both from 0 on; or, where values span orders of magnitude,
   * both logarithmic, and what is 0 is left out.
   */
  | {
      readonly kind: 'curves';
      readonly x: string;
      readonly series: readonly Part[];
      readonly isLog?: boolean;
    }
  /** A table says it better. */
  | { readonly kind: 'none' };

export interface Figure {
  /** By which the verdict finds it. */
  readonly id: string;
  readonly title: string;
  readonly columns: readonly FigureColumn[];
  readonly rows: readonly (readonly Cell[])[];
  readonly drawing: Drawing;
}

/** A figure that the thread gives, beside ours. */
export interface PublishedFigure {
  readonly what: string;
  readonly unit: string;
  readonly published: number;
  readonly ours: number;
  /** Who says it, and where. */
  readonly source: string;
}

/** What one run of a lab measured. */
export interface Measurement {
  readonly figures: readonly Figure[];
  readonly published: readonly PublishedFigure[];
  /** Raw counters by variant, as /proc/vmstat names them. */
  readonly data: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

export interface LabRun {
  readonly knobs: KnobValues;
  readonly seed: number;
}

export type Support = 'supported' | 'partly' | 'not supported';

/** What the figures say of a position. */
export interface Finding {
  readonly support: Support;
  readonly because: string;
}

/** What somebody argues in the thread, in our words. */
export interface Position {
  readonly who: string;
  readonly says: string;
  readonly judge: (figures: FigureReader) => Finding;
}

export interface Lab {
  /** As on the command line: lower case and hyphens. */
  readonly name: string;
  readonly question: string;
  /** Of the mailing list. */
  readonly thread: string;
  /** Capabilities that it shows, E1 ... */
  readonly missions: readonly string[];
  /** Rules of docs/model/rules that decide. */
  readonly rules: readonly string[];
  /** What some of its machines have that Linux has not; said beside the verdict. */
  readonly experimental?: readonly ExperimentalFeature[];
  readonly knobs: readonly Knob[];
  /** The machine, the programs and the steps, a sentence each. */
  readonly setup: (knobs: KnobValues) => readonly string[];
  readonly measure: (run: LabRun) => Measurement;
  /** One or two sentences. */
  readonly verdict: (figures: FigureReader) => string;
  readonly positions: readonly Position[];
  readonly notModelled: readonly string[];
}
