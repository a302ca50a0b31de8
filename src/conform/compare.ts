/**
 * Comparing what a step answered with what Linux answered, as strictly as the case says
 * (docs/conformance.md: Strength).
 *
 *   exact      every field but those in `approx`
 *   direction  return values, except of writes that make the kernel reclaim, compact or monitor;
 *              of `count` the labels that hold at least 5 % and their order by size; data
 *   racy       as exact, but a difference is no failure: one observed outcome, not the only one
 */
import type { Fields, Json, Step, Strength } from './caseFile.ts';
import { isRuns, normalRuns } from './runs.ts';

export interface Difference {
  readonly field: string;
  readonly expected: Json;
  readonly got: Json;
}

/** Files whose writer waits for work of which the amount is the guest's. */
const WORK_FILES = /reclaim$|compact(_memory)?$|\/damon\//;
const SHARE_MIN = 0.05;

/** The first field that differs, or null. */
export function compareStep(
  step: Step,
  got: Fields,
  strength: Strength,
  ignoredMarks: readonly string[] = [],
): Difference | null {
  if (step.expect === null) return compareSilent(got);
  for (const [field, expected] of Object.entries(step.expect)) {
    if (step.approx.includes(field) || !isCompared(step, field, strength)) continue;
    const actual = got[field] ?? null;
    const wanted = withoutMarks(expected, ignoredMarks);
    const found = withoutMarks(actual, ignoredMarks);
    const isSame =
      strength === 'direction' && step.name === 'count'
        ? isSameShape(wanted, found)
        : isSameValue(wanted, found);
    if (!isSame) return { field, expected: wanted, got: field in got ? found : explain(got) };
  }
  return null;
}

/** A step without `expect` succeeds. */
function compareSilent(got: Fields): Difference | null {
  if (typeof got.signal === 'string') {
    return { field: 'signal', expected: 'none', got: got.signal };
  }
  const ret = got.ret;
  if (typeof ret !== 'number' || ret >= 0) return null;
  return { field: 'ret', expected: 'success', got: got.errno ?? ret };
}

/** A call that failed instead of answering. */
function explain(got: Fields): Json {
  return got.errno ?? got.signal ?? null;
}

function isCompared(step: Step, field: string, strength: Strength): boolean {
  if (strength !== 'direction') return true;
  if (step.kind === 'look') return step.name === 'count' || step.name === 'data';
  if (field !== 'ret' && field !== 'errno') return false;
  const file = step.fields.file;
  return typeof file !== 'string' || !WORK_FILES.test(file);
}

function isSameValue(expected: Json, got: Json): boolean {
  if (isRuns(expected) && isRuns(got)) {
    return JSON.stringify(normalRuns(expected)) === JSON.stringify(normalRuns(got));
  }
  return JSON.stringify(sorted(expected)) === JSON.stringify(sorted(got));
}

/** Labels of pages, also as names of fields, without the marks `ignored`. */
function withoutMarks(value: Json, ignored: readonly string[]): Json {
  if (ignored.length === 0) return value;
  if (typeof value === 'string') return unmarked(value, ignored);
  if (Array.isArray(value)) return value.map((item) => withoutMarks(item, ignored));
  if (typeof value !== 'object' || value === null) return value;
  const merged: { [field: string]: Json } = {};
  for (const [name, item] of Object.entries(value)) {
    const label = unmarked(name, ignored);
    const before = merged[label];
    const sum = typeof before === 'number' && typeof item === 'number' ? before + item : item;
    merged[label] = withoutMarks(sum, ignored);
  }
  return merged;
}

function unmarked(label: string, ignored: readonly string[]): string {
  if (!label.includes('+')) return label;
  const [place, ...marks] = label.split('+');
  return [place, ...marks.filter((mark) => !ignored.includes(mark))].join('+');
}

/** Objects with their fields in one order. */
function sorted(value: Json): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key])]),
  );
}

/** `count`: the same labels with a share that matters, in the same order by size. */
function isSameShape(expected: Json, got: Json): boolean {
  return JSON.stringify(largeLabels(expected)) === JSON.stringify(largeLabels(got));
}

function largeLabels(pages: Json): string[] {
  const entries = Object.entries((pages ?? {}) as { [label: string]: number });
  const total = entries.reduce((sum, [, n]) => sum + n, 0);
  return entries
    .filter(([, n]) => n >= SHARE_MIN * total)
    .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
    .map(([label]) => label);
}
