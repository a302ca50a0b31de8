/**
 * Tables of plain columns, for programs that query results: what a Parquet file holds. A column has
 * one type; null is what is not known.
 */
export type FlatType = 'string' | 'integer' | 'number' | 'boolean';
export type FlatValue = string | number | boolean | null;

export interface FlatColumn {
  readonly name: string;
  readonly type: FlatType;
  readonly values: readonly FlatValue[];
}

export interface FlatTable {
  readonly name: string;
  readonly nrRows: number;
  readonly columns: readonly FlatColumn[];
}

/** A column and where a row has its value. */
export type FlatField<R> = readonly [name: string, type: FlatType, of: (row: R) => FlatValue];

export function flatTable<R>(
  name: string,
  rows: readonly R[],
  fields: readonly FlatField<R>[],
): FlatTable {
  const columns = fields.map(([field, type, of]) => ({ name: field, type, values: rows.map(of) }));
  return { name, nrRows: rows.length, columns };
}
