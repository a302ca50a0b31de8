/**
 * Flat tables as a folder of Parquet files, NAME.parquet each, for DuckDB and whatever else reads
 * them. The folder is whole or not there: files are written into a temporary one beside it, which
 * then takes its name. With --force an existing folder of Parquet files is replaced.
 *
 * Integers are INT64, numbers DOUBLE, texts UTF8; every column may be null. Compressed by Snappy.
 */
import { mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { UserError } from '../base/assert.ts';
import type { FlatColumn, FlatTable, FlatType } from '../experiment/index.ts';
import { onCleanUp } from './interrupt.ts';
import { blameWriting, writeOutputFile } from './outputFile.ts';

const TYPES = {
  string: 'STRING',
  integer: 'INT64',
  number: 'DOUBLE',
  boolean: 'BOOLEAN',
} as const satisfies Record<FlatType, string>;

let nrCreated = 0;

export class ParquetFolder {
  /** As the user gave it. */
  readonly path: string;
  readonly #temporary: string;
  readonly #forget: () => void;

  /** Errors: UserError if it exists (unless `force`), holds something else, or cannot be made. */
  constructor(path: string, { force }: { readonly force: boolean }) {
    this.path = path.replace(/(?<=.)\/+$/, '');
    checkTarget(this.path, force);
    const name = `.${basename(this.path)}.${process.pid}.${nrCreated++}.tmp`;
    this.#temporary = join(dirname(this.path), name);
    blameWriting(path, () => mkdirSync(this.#temporary));
    this.#forget = onCleanUp(() => this.#remove());
  }

  /** Writes the tables and gives the folder its name. Errors: UserError; nothing is left then. */
  async commit(tables: readonly FlatTable[], version: string): Promise<void> {
    const { parquetWriteBuffer } = await import('hyparquet-writer');
    try {
      for (const { name, columns } of tables) {
        const createdBy = `hetmem version ${version}`;
        const bytes = parquetWriteBuffer({ columnData: columns.map(columnOf), createdBy });
        const file = join(this.#temporary, `${name}.parquet`);
        writeOutputFile(file, new Uint8Array(bytes), { force: false });
      }
      blameWriting(this.path, () => this.#giveName());
      this.#forget();
    } catch (error) {
      this.discard();
      throw error;
    }
  }

  discard(): void {
    this.#remove();
    this.#forget();
  }

  /** A folder cannot be renamed over one that has files: the old one steps aside first. */
  #giveName(): void {
    const old = `${this.#temporary}.old`;
    const isThere = statSync(this.path, { throwIfNoEntry: false }) !== undefined;
    if (isThere) renameSync(this.path, old);
    renameSync(this.#temporary, this.path);
    if (isThere) rmSync(old, { recursive: true });
  }

  #remove(): void {
    rmSync(this.#temporary, { recursive: true, force: true });
  }
}

/** The folder that --parquet names, or null. Errors: as of ParquetFolder. */
export function parquetOf(flags: {
  readonly parquet?: string;
  readonly force?: boolean;
}): ParquetFolder | null {
  const { parquet, force = false } = flags;
  return parquet === undefined ? null : new ParquetFolder(parquet, { force });
}

function checkTarget(path: string, force: boolean): void {
  const existing = blameWriting(path, () => statSync(path, { throwIfNoEntry: false }));
  if (existing === undefined) return;
  if (!existing.isDirectory()) throw new UserError(path, 'is a file', 'name a folder');
  if (!force) throw new UserError(path, 'exists already', 'another name, or --force to replace it');
  const other = readdirSync(path).find((name) => !name.endsWith('.parquet'));
  if (other === undefined) return;
  throw new UserError(path, `has ${other}, which is no table`, 'name a folder of its own');
}

function columnOf({ name, type, values }: FlatColumn) {
  const data = type === 'integer' ? values.map(bigOrNull) : [...values];
  return { name, data, type: TYPES[type], nullable: true };
}

function bigOrNull(value: FlatColumn['values'][number]): bigint | null {
  return value === null ? null : BigInt(Math.round(Number(value)));
}
