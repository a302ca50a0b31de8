/** Where two states differ, as a path from the kernel: for tests, and for who looks for a bug. */
import { type Column, columnType } from './columns.ts';
import { readFields, type SavedClasses } from './savedClass.ts';

interface Pair {
  readonly path: string;
  readonly a: unknown;
  readonly b: unknown;
}

/** The path of the first difference in breadth, or null. Both may be graphs with cycles. */
export function firstDifference(a: unknown, b: unknown, classes: SavedClasses): string | null {
  const pairs: Pair[] = [{ path: 'kernel', a, b }];
  const twins = new Map<object, object>();
  for (let n = 0; n < pairs.length; n++) {
    const { path, a: left, b: right } = pairs[n];
    if (!isObject(left) || !isObject(right)) {
      if (!Object.is(left, right)) return `${path}: ${String(left)} and ${String(right)}`;
      continue;
    }
    const twin = twins.get(left);
    if (twin !== undefined && twin !== right) return `${path}: not the same object as before`;
    if (twin !== undefined) continue;
    twins.set(left, right);
    const found = columnType(left) >= 0 ? columnDifference(path, left, right) : null;
    if (found !== null) return found;
    if (columnType(left) < 0) pairs.push(...partsOf(path, left, right, classes));
  }
  return null;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function columnDifference(path: string, a: object, b: object): string | null {
  const left = a as Column;
  const right = b as Column;
  if (left.length !== right.length) return `${path}: lengths ${left.length} and ${right.length}`;
  const at = left.findIndex((value: number, i: number) => !Object.is(value, right[i]));
  return at < 0 ? null : `${path}[${at}]: ${left[at]} and ${right[at]}`;
}

function partsOf(path: string, a: object, b: object, classes: SavedClasses): Pair[] {
  const left = entriesOf(a, classes);
  const right = entriesOf(b, classes);
  const parts = left.map(([name, value], n) => {
    return { path: `${path}.${name}`, a: value, b: right[n]?.[1] };
  });
  const names = (entries: readonly [string, unknown][]) => entries.map(([name]) => name).join(' ');
  return [{ path: `${path} (parts)`, a: names(left), b: names(right) }, ...parts];
}

function entriesOf(object: object, classes: SavedClasses): [string, unknown][] {
  if (object instanceof Map) {
    return [...object].flatMap(([key, value], n): [string, unknown][] => [
      [`key ${n}`, key],
      [`value ${n}`, value],
    ]);
  }
  const isList = Array.isArray(object) || object instanceof Set;
  if (isList) return [...object].map((value, n): [string, unknown] => [String(n), value]);
  const number = classes.numberOf(object);
  if (number < 0) return Object.entries(object);
  const one = classes.list[number];
  const values = readFields(one, object);
  return one.fields.map((name, n): [string, unknown] => [name, values[n]]);
}
