/**
 * Conformance cases as data: short programs of memory-management steps with what a real Linux
 * kernel answered to each (docs/conformance.md has the format). One JSON object per line.
 */
import { UserError } from '../base/assert.ts';
import { suggestion } from '../base/closestWord.ts';
import {
  DEFAULT_KERNEL,
  isKernelVersion,
  KERNEL_VERSIONS,
  type KernelVersion,
  kernelProfile,
} from '../hw/index.ts';
import { checkStep } from './checkStep.ts';

export type Json = null | boolean | number | string | Json[] | { [field: string]: Json };
export type Fields = { readonly [field: string]: Json };

/** How much of the answers a run must repeat. */
export type Strength = 'exact' | 'direction' | 'racy';

export interface Step {
  /** The verb or look, with its kind. */
  readonly kind: 'do' | 'look';
  readonly name: string;
  /** The process that does it. */
  readonly by: string;
  /** Inputs. */
  readonly fields: Fields;
  /** null: the step succeeds and returns nothing to compare. */
  readonly expect: Fields | null;
  /** Fields of `expect` that are not compared. */
  readonly approx: readonly string[];
}

export interface ConformanceCase {
  readonly id: string;
  /** "file:line (id)": what errors begin with. */
  readonly place: string;
  readonly group: string;
  readonly about: string;
  readonly machine: string;
  /** Version line of the answers. */
  readonly kernel: KernelVersion;
  readonly strength: Strength;
  /** Marks of labels that were not looked at when the answers were compared. */
  readonly ignoredMarks: readonly string[];
  readonly steps: readonly Step[];
  /** Changes of /proc/vmstat over the whole case. */
  readonly vmstat: Readonly<Record<string, number>>;
  readonly killedBy: string | null;
  /** The process did not end: a step waits for something that never comes. */
  readonly timesOut: boolean;
  /** Versions on which every compared value was the same. */
  readonly sameOn: readonly string[];
  /** Versions with other answers. */
  readonly differs: Fields;
}

/** A line that is no case in this format, as far as it can be told apart from others. */
export interface RefusedCase {
  readonly id: string;
  readonly group: string;
  readonly kernel: KernelVersion;
  /** "file:line (id) step n: what is wrong (remedy)". */
  readonly message: string;
}

/**
 * All cases of a .jsonl text. What is wrong with a line goes to `refuse`, which throws it unless
 * the others are wanted all the same. Errors: UserError with file:line.
 */
export function parseCases(
  text: string,
  fileName: string,
  refuse: (error: UserError, line: string, place: string) => void = (error) => {
    throw error;
  },
): ConformanceCase[] {
  const cases: ConformanceCase[] = [];
  text.split('\n').forEach((line, n) => {
    if (line.trim() === '') return;
    const place = `${fileName}:${n + 1}`;
    try {
      cases.push(parseCase(line, place));
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      refuse(error, line, place);
    }
  });
  return cases;
}

/** What a refused line says of itself. */
export function refusedCase(error: UserError, line: string, place: string): RefusedCase {
  let raw: Json = null;
  try {
    raw = JSON.parse(line) as Json;
  } catch {}
  const fields = typeof raw === 'object' && raw !== null && !Array.isArray(raw) ? raw : {};
  const { id, group, kernel } = fields;
  return {
    id: typeof id === 'string' ? id : place,
    group: typeof group === 'string' ? group : 'unreadable',
    kernel: typeof kernel === 'string' && isKernelVersion(kernel) ? kernel : DEFAULT_KERNEL,
    message: error.message,
  };
}

function parseCase(line: string, place: string): ConformanceCase {
  let raw: Json;
  try {
    raw = JSON.parse(line) as Json;
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw new UserError(place, `no JSON: ${problem}`, 'one case, a JSON object, on each line');
  }
  const fields = object(raw, place, 'the case');
  const id = text(fields.id, place, 'id');
  const inCase = `${place} (${id})`;
  onlyKnown(fields, CASE_FIELDS, inCase, 'field');
  const expect = object(fields.expect ?? {}, inCase, 'expect');
  // `data` sums up what the looks of that name say, which are compared one by one.
  onlyKnown(expect, ['vmstat', 'data', 'killed_by', 'timeout'], inCase, 'field in expect:');
  const steps = array(fields.steps, inCase, 'steps').map((step, i) =>
    parseStep(object(step, inCase, `steps[${i}]`), `${inCase} step ${i}`),
  );
  const differs = object(fields.differs ?? {}, inCase, 'differs');
  const sameOn = array(fields.same_on ?? [], inCase, 'same_on').map(String);
  const kernel = kernelOf(text(fields.kernel ?? DEFAULT_KERNEL, inCase, 'kernel'), inCase);
  for (const version of [...sameOn, ...Object.keys(differs)]) kernelOf(version, inCase);
  return {
    id,
    place: inCase,
    group: text(fields.group, inCase, 'group'),
    about: text(fields.about ?? '', inCase, 'about'),
    machine: text(fields.machine, inCase, 'machine'),
    kernel,
    strength: strengthOf(fields.strength, inCase),
    ignoredMarks: [],
    steps,
    vmstat: counters(expect.vmstat ?? {}, inCase),
    killedBy: typeof expect.killed_by === 'string' ? expect.killed_by : null,
    timesOut: expect.timeout !== undefined && expect.timeout !== false,
    sameOn,
    differs: checkedDiffers(differs, steps.length, inCase),
  };
}

const CASE_FIELDS: readonly string[] = [
  ...['id', 'group', 'about', 'machine', 'kernel', 'run', 'strength', 'why', 'observed'],
  ...['replayed', 'steps', 'expect', 'same_on', 'differs'],
];

function onlyKnown(fields: Fields, known: readonly string[], place: string, what: string): void {
  for (const field of Object.keys(fields)) {
    if (known.includes(field)) continue;
    throw new UserError(place, `unknown ${what} ${field}`, suggestion(field, known));
  }
}

/** Every version's changes name steps that exist; a course of its own is a list of steps. */
function checkedDiffers(differs: Fields, nrSteps: number, inCase: string): Fields {
  for (const [kernel, changes] of Object.entries(differs)) {
    const place = `${inCase} differs.${kernel}`;
    for (const [key, change] of Object.entries(object(changes, place, 'it'))) {
      if (key === 'from') courseFrom(object(change, place, 'from'), nrSteps, place);
      else if (!/^\d+$/.test(key) || Number(key) >= nrSteps) {
        throw new UserError(place, `no step ${key}`, `steps are 0 to ${nrSteps - 1}, or "from"`);
      }
    }
  }
  return differs;
}

/** The steps of another course, and the step they begin at. */
function courseFrom(from: Fields, nrSteps: number, place: string): readonly Step[] {
  const first = from.step;
  if (typeof first !== 'number' || !Number.isInteger(first) || first < 0 || first > nrSteps) {
    throw new UserError(place, `from.step is ${JSON.stringify(first)}`, `0 to ${nrSteps}`);
  }
  return array(from.steps, place, 'from.steps').map((step, i) =>
    parseStep(object(step, place, `from.steps[${i}]`), `${place} from.steps[${i}]`),
  );
}

export function parseStep(fields: Fields, place: string): Step {
  const isDo = typeof fields.do === 'string';
  if (isDo === (typeof fields.look === 'string')) {
    throw new UserError(place, 'needs exactly one of "do" and "look"');
  }
  const { do: verb, look, by, expect, approx, ...inputs } = fields;
  const step: Step = {
    kind: isDo ? 'do' : 'look',
    name: String(isDo ? verb : look),
    by: by === undefined ? 'main' : text(by, place, 'by'),
    fields: inputs,
    expect: expect === undefined ? null : object(expect, place, 'expect'),
    approx: array(approx ?? [], place, 'approx').map(String),
  };
  checkStep(step, place);
  return step;
}

function kernelOf(version: string, place: string): KernelVersion {
  if (isKernelVersion(version)) return version;
  throw new UserError(place, `unknown kernel ${version}`, `known: ${KERNEL_VERSIONS.join(', ')}`);
}

function strengthOf(value: Json | undefined, place: string): Strength {
  if (value === 'exact' || value === 'direction' || value === 'racy') return value;
  throw new UserError(place, `strength ${JSON.stringify(value)}`, 'exact, direction or racy');
}

function counters(value: Json, place: string): Record<string, number> {
  const out: Record<string, number> = {};
  for (const [name, change] of Object.entries(object(value, place, 'expect.vmstat'))) {
    if (typeof change !== 'number') {
      throw new UserError(place, `expect.vmstat.${name} is no number`);
    }
    out[name] = change;
  }
  return out;
}

function object(value: Json | undefined, place: string, what: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new UserError(place, `${what} is no object`);
}

function array(value: Json | undefined, place: string, what: string): readonly Json[] {
  if (Array.isArray(value)) return value;
  throw new UserError(place, `${what} is no list`);
}

function text(value: Json | undefined, place: string, what: string): string {
  if (typeof value === 'string') return value;
  throw new UserError(place, `${what} is missing or no text`);
}

/**
 * The case as another kernel version answered it, or null if it was not seen to run there.
 * `differs` of a version replaces fields of `expect` by step, or the course from a step on.
 */
export function caseOnKernel(one: ConformanceCase, kernel: KernelVersion): ConformanceCase | null {
  if (kernel === one.kernel) return one;
  const changes = one.differs[kernel];
  if (changes === undefined && !one.sameOn.includes(kernel)) return null;
  // Those kernels kept their LRU differently, and 6.12 says KSM of every anonymous page.
  const ignoredMarks = kernelProfile(kernel).kpageflagsSaysKsmOfAnon
    ? ['unevictable', 'ksm']
    : ['unevictable'];
  const steps = one.steps.map(withoutRawFlags);
  if (changes === undefined) return { ...one, kernel, ignoredMarks, steps };
  return { ...one, kernel, ignoredMarks, ...changedCourse({ ...one, steps }, kernel, changes) };
}

/** Raw words of kpageflags were not compared between kernels. */
function withoutRawFlags(step: Step): Step {
  const isRaw = step.kind === 'look' && (step.name === 'kpage' || step.name === 'frame.flags');
  return isRaw ? { ...step, approx: [...step.approx, 'flags'] } : step;
}

/** Steps and counters of a version of which `differs` tells. */
function changedCourse(
  one: ConformanceCase,
  kernel: KernelVersion,
  changes: Json,
): Pick<ConformanceCase, 'steps' | 'vmstat'> {
  const place = `${one.place} differs.${kernel}`;
  const bySteps = object(changes, place, 'differs');
  let steps = one.steps.map((step, i) => {
    const change = bySteps[String(i)];
    return change === undefined ? step : withExpect(step, object(change, place, `step ${i}`));
  });
  if (bySteps.from !== undefined) {
    const from = object(bySteps.from, place, 'from');
    const rest = courseFrom(from, one.steps.length, place);
    steps = [...steps.slice(0, Number(from.step)), ...rest];
  }
  // Which counters differ on that version was not written down.
  return { steps, vmstat: {} };
}

/** The fields of `change` replace those of `expect`; null takes a field away. */
function withExpect(step: Step, change: Fields): Step {
  const expect: { [field: string]: Json } = { ...(step.expect ?? {}) };
  for (const [field, value] of Object.entries(change)) {
    if (value === null) delete expect[field];
    else expect[field] = value;
  }
  // A call that now fails answers nothing else, and one that now succeeds has no error.
  if (typeof expect.ret === 'number' && expect.ret >= 0) delete expect.errno;
  return { ...step, expect };
}
