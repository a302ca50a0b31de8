/** Knobs that most workloads have, and the part of a program plan that they decide. */
import { MIB, PAGE_SIZE } from '../base/units.ts';
import type { ProgramPlan, WorkloadKnob, WorkloadNumberKnob, WorkloadValues } from './workload.ts';

const MILLION = 1_000_000;

export function number(
  name: string,
  initial: number,
  min: number,
  max: number,
  unit: string,
  doc: string,
): WorkloadNumberKnob {
  return { kind: 'number', name, default: initial, min, max, unit, doc };
}

export function integer(
  name: string,
  initial: number,
  min: number,
  max: number,
  unit: string,
  doc: string,
): WorkloadNumberKnob {
  return { kind: 'integer', name, default: initial, min, max, unit, doc };
}

export const SIZE_KNOB = integer('size', 256, 1, 65536, 'MiB', 'memory of the program');

/** Everything but the size. */
export const RUN_KNOBS: readonly WorkloadKnob[] = [
  number('accesses', 50, 0.001, 1_000_000, 'million', 'accesses that miss the caches'),
  integer('threads', 1, 1, 256, 'threads', 'that share the accesses'),
  number('insnPerAccess', 20, 0, 100_000, 'instructions', 'between two accesses'),
  {
    kind: 'boolean',
    name: 'fill',
    default: true,
    doc: 'write all memory once, in order, before the accesses',
  },
  { kind: 'boolean', name: 'hugepages', default: false, doc: 'madvise(MADV_HUGEPAGE)' },
];

export const WRITE_KNOB = number('writeShare', 0.5, 0, 1, '', 'accesses that write, to 1/256');

export function numberOf(values: WorkloadValues, name: string): number {
  return values[name] as number;
}

export function booleanOf(values: WorkloadValues, name: string): boolean {
  return values[name] as boolean;
}

/** Pages of the `size` knob. */
export function sizePages(values: WorkloadValues): number {
  return (numberOf(values, 'size') * MIB) / PAGE_SIZE;
}

/** Of 256 random bytes, those below this are writes. */
export function writesOf256(values: WorkloadValues): number {
  return Math.round(numberOf(values, 'writeShare') * 256);
}

/** What RUN_KNOBS say of a program. */
export function runPart(values: WorkloadValues): Omit<ProgramPlan, 'name' | 'nrPages' | 'stream'> {
  return {
    nrThreads: numberOf(values, 'threads'),
    accesses: Math.round(numberOf(values, 'accesses') * MILLION),
    insnPerAccess: numberOf(values, 'insnPerAccess'),
    isFilled: booleanOf(values, 'fill'),
    isHugeAdvised: booleanOf(values, 'hugepages'),
  };
}
