/**
 * What an experiment may name: policies and generators with their knobs, machines and traces that
 * come with hetmem. The registries of policy/ and workload/ and the folders of the package are
 * turned into this by whoever runs experiments, so that mistakes in a file can be told with the
 * word that was meant.
 */
import type { Knob } from '../policy/index.ts';

export interface KnownPolicy {
  readonly name: string;
  /** One line. */
  readonly purpose: string;
  /** Knows the future: a bound for the others, not a competitor. */
  readonly isOracle: boolean;
  readonly knobs: readonly Knob[];
}

export interface KnownGenerator {
  readonly name: string;
  /** One line. */
  readonly purpose: string;
  readonly knobs: readonly Knob[];
}

export interface Catalogue {
  readonly policies: readonly KnownPolicy[];
  readonly generators: readonly KnownGenerator[];
  /** Names of preset machines. */
  readonly machines: readonly string[];
  /** Short names of shipped traces. */
  readonly traces: readonly string[];
}

/** Is `machine` the path of a file, not the name of a preset? */
export function isMachinePath(machine: string): boolean {
  return /\.ya?ml$/.test(machine) || machine.includes('/');
}

/** Is `trace` the path of a file, not the short name of a shipped trace? */
export function isTracePath(trace: string): boolean {
  return trace.endsWith('.hmt') || trace.includes('/');
}

/** The name that tables show for a trace: its file's name without ending. */
export function traceName(trace: string): string {
  const file = trace.slice(trace.lastIndexOf('/') + 1);
  return file.replace(/\.hmt$/, '');
}
