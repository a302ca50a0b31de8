/** One measured figure: a line of `npm run bench -- --json`. */

export interface Figure {
  /** `area/what`; the areas are replay, run, migrate, frame, trace and cli. */
  readonly name: string;
  readonly value: number;
  /** `accesses/s`, `s CPU`, `bytes`. */
  readonly unit: string;
  /** What `ratio` compares with, and its value in the same unit: `C loop (412000000)`. */
  readonly against: string;
  /** value / value of `against`; null if that could not be run here, and `against` says why. */
  readonly ratio: number | null;
}

/** What a file of bench/ exports. */
export interface Bench {
  figures(): AsyncIterable<Figure> | Promise<readonly Figure[]>;
}

/** A figure that is compared with `other`, measured in the same unit beside it. */
export function figure(
  name: string,
  value: number,
  unit: string,
  other: { readonly what: string; readonly value: number | null },
): Figure {
  if (other.value === null) return { name, value, unit, against: other.what, ratio: null };
  const against = `${other.what} (${significant(other.value)} ${unit})`;
  return { name, value, unit, against, ratio: significant(value / other.value) };
}

/** Four digits: more would claim a precision that a shared machine does not have. */
export function significant(value: number): number {
  return Number(value.toPrecision(4));
}
