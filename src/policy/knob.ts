/**
 * Knobs: what a user can set of a policy, with its default, its limits and what it means. Declared
 * as data, so that experiment files are checked, help is printed and sweeps are planned from the
 * same table. Workloads declare theirs in the same shape.
 */

export interface NumberKnob {
  readonly kind: 'number' | 'integer';
  readonly name: string;
  readonly default: number;
  readonly min: number;
  readonly max: number;
  /** Nothing else is taken, ascending; omitted = all from min to max. */
  readonly accepted?: readonly number[];
  /** '' for plain numbers and shares. */
  readonly unit: string;
  readonly doc: string;
}

export interface BooleanKnob {
  readonly kind: 'boolean';
  readonly name: string;
  readonly default: boolean;
  readonly doc: string;
}

export interface ChoiceKnob {
  readonly kind: 'choice';
  readonly name: string;
  readonly default: string;
  readonly choices: readonly string[];
  readonly doc: string;
}

export type Knob = NumberKnob | BooleanKnob | ChoiceKnob;
export type KnobValue = number | string | boolean;
/** A value for every declared knob. */
export type KnobValues = Readonly<Record<string, KnobValue>>;

export interface ResolvedKnobs {
  /** Complete: what was not given has its default. Only to be used if there is no problem. */
  readonly values: KnobValues;
  /** What is wrong with the parameters given; the caller knows the place (file:line:column). */
  readonly problems: readonly KnobProblem[];
}

export interface KnobProblem {
  readonly name: string;
  readonly problem: string;
  readonly remedy: string;
}

/** Checks the parameters a user gave against the declared knobs, and adds the defaults. */
export function resolveKnobs(
  knobs: readonly Knob[],
  params: Readonly<Record<string, unknown>>,
): ResolvedKnobs {
  const problems: KnobProblem[] = [];
  const values: Record<string, KnobValue> = {};
  for (const knob of knobs) values[knob.name] = knob.default;
  for (const [name, value] of Object.entries(params)) {
    const knob = knobs.find((candidate) => candidate.name === name);
    if (knob === undefined) {
      const names = knobs.map((candidate) => candidate.name).join(', ');
      const remedy = names === '' ? 'it has none' : `it has ${names}`;
      problems.push({ name, problem: `there is no knob ${name}`, remedy });
      continue;
    }
    const problem = problemOf(knob, value);
    if (problem === null) values[name] = value as KnobValue;
    else problems.push({ name, problem, remedy: knob.doc });
  }
  return { values, problems };
}

function problemOf(knob: Knob, value: unknown): string | null {
  if (knob.kind === 'boolean') {
    return typeof value === 'boolean' ? null : `${knob.name} is true or false, not ${show(value)}`;
  }
  if (knob.kind === 'choice') {
    if (typeof value === 'string' && knob.choices.includes(value)) return null;
    return `${knob.name} is one of ${knob.choices.join(', ')}, not ${show(value)}`;
  }
  const { name, min, max, accepted } = knob;
  const unit = knob.unit === '' ? '' : ` ${knob.unit}`;
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    return `${name} is a number${unit === '' ? '' : ` of${unit}`}, not ${show(value)}`;
  }
  if (knob.kind === 'integer' && !Number.isInteger(value)) {
    return `${name} is a whole number${unit === '' ? '' : ` of${unit}`}, not ${value}`;
  }
  const isTaken = accepted?.includes(value) ?? (value >= min && value <= max);
  return isTaken ? null : `${name} is ${valuesText(knob)}, not ${value}`;
}

/** "1, 2, 3 or 6"; of more than eight powers of two the first ones and the last. */
function acceptedText(accepted: readonly number[]): string {
  const last = accepted[accepted.length - 1]!;
  if (accepted.length > 8) return `${accepted.slice(0, 3).join(', ')} … ${last}`;
  return `${accepted.slice(0, -1).join(', ')} or ${last}`;
}

/** What a knob may be, for people: "true, false", "3 to 1000 regions", "1, 2, 4 or 8 devices". */
export function valuesText(knob: Knob): string {
  if (knob.kind === 'boolean') return 'true, false';
  if (knob.kind === 'choice') return knob.choices.join(', ');
  const { min, max, unit, accepted } = knob;
  const range = accepted === undefined ? `${min} to ${max}` : acceptedText(accepted);
  return unit === '' ? range : `${range} ${unit}`;
}

function show(value: unknown): string {
  return typeof value === 'string' ? `"${value}"` : String(value);
}

/** A number knob's value. Preconditions: `values` come from resolveKnobs of its declaration. */
export function numberOf(values: KnobValues, name: string): number {
  return values[name] as number;
}

export function booleanOf(values: KnobValues, name: string): boolean {
  return values[name] as boolean;
}

export function choiceOf(values: KnobValues, name: string): string {
  return values[name] as string;
}

/** A whole number in [min, max]. */
export function integerKnob(
  name: string,
  initial: number,
  min: number,
  max: number,
  unit: string,
  doc: string,
): NumberKnob {
  return { kind: 'integer', name, default: initial, min, max, unit, doc };
}

/** A number in [min, max]. */
export function numberKnob(
  name: string,
  initial: number,
  min: number,
  max: number,
  unit: string,
  doc: string,
): NumberKnob {
  return { kind: 'number', name, default: initial, min, max, unit, doc };
}

/** One of `accepted`, which ascend. */
export function oneOfKnob(
  name: string,
  initial: number,
  accepted: readonly number[],
  unit: string,
  doc: string,
): NumberKnob {
  const knob = integerKnob(name, initial, accepted[0]!, accepted[accepted.length - 1]!, unit, doc);
  return { ...knob, accepted };
}
