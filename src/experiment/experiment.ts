/**
 * An experiment: machines x policies x workloads x seeds, as plain data, whether it was written in
 * a YAML file (experimentFile.ts) or on a command line (hetmem compare).
 */
import type { Bytes } from '../base/units.ts';
import type { PolicyChoice, WorkloadSpec } from './runTypes.ts';

export interface Experiment {
  /** Names the journal and the title of the report. */
  readonly name: string;
  /** What one wants to know, in a sentence; '' = not said. */
  readonly question: string;
  readonly machines: readonly MachineChoice[];
  readonly policies: readonly LabelledPolicy[];
  readonly workloads: readonly WorkloadSpec[];
  /** Each run is done once with each; results are compared seed by seed. */
  readonly seeds: readonly number[];
  /** RunSpec.seriesPoints. */
  readonly seriesPoints: number;
}

/** A machine as it stands, or with its fast memory sized by what the program touches. */
export interface MachineChoice {
  /** Name of a preset, or path of a machine file. */
  readonly machine: string;
  /** null = the sizes of the machine file. */
  readonly ratio: Ratio | null;
  readonly headroom: Headroom;
}

/** Fast to slow memory: 1:2 means that a third of the footprint fits into the fast memory. */
export interface Ratio {
  readonly fast: number;
  readonly slow: number;
}

/** Fast memory on top of the ratio's share: for watermarks, page tables, the kernel's own. */
export interface Headroom {
  readonly bytes: Bytes;
  /** Of the footprint, 0.02 = 2 %. */
  readonly share: number;
}

export const NO_HEADROOM: Headroom = { bytes: 0, share: 0 };

/** A policy with its knobs under the name that tables and pictures show. */
export interface LabelledPolicy extends PolicyChoice {
  readonly label: string;
}

/** The label of a policy that was given none: its name, and knobs where there are any. */
export function defaultLabel({ name, params }: PolicyChoice): string {
  const knobs = Object.entries(params).map(([knob, value]) => `${knob}=${value}`);
  return knobs.length === 0 ? name : `${name} (${knobs.join(', ')})`;
}

/** "1:2". */
export function formatRatio({ fast, slow }: Ratio): string {
  return `${fast}:${slow}`;
}

/** "1:2" as a ratio; null if it is none. Both parts are above 0 and may have a fraction. */
export function parseRatio(text: string): Ratio | null {
  const match = /^(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)$/.exec(text);
  if (match === null) return null;
  const [fast, slow] = [Number(match[1]), Number(match[2])];
  return fast > 0 && slow > 0 ? { fast, slow } : null;
}
