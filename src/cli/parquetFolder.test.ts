/** Tables of results as Parquet, read back with another library, and what docs/reports.md says. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parquetMetadata, parquetReadObjects, parquetSchema } from 'hyparquet';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fabricateComparison, withCgroups } from '../../test/experiment/fabricate.ts';
import { comparisonTables, flatTable } from '../experiment/index.ts';
import { ParquetFolder } from './parquetFolder.ts';

let folder = '';
const inFolder = (name: string) => join(folder, name);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hetmem-parquet-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

async function read(path: string) {
  const { buffer, byteOffset, length } = readFileSync(path);
  const file = buffer.slice(byteOffset, byteOffset + length) as ArrayBuffer;
  const schema = parquetSchema(parquetMetadata(file)).children.map(({ element }) => element);
  return { schema, rows: await parquetReadObjects({ file }) };
}

const TABLE = flatTable(
  'things',
  [
    { name: 'one', count: 2 ** 53 - 1, share: 0.5, is: true },
    { name: null, count: null, share: null, is: null },
  ],
  [
    ['name', 'string', ({ name }) => name],
    ['count', 'integer', ({ count }) => count],
    ['share', 'number', ({ share }) => share],
    ['is_it', 'boolean', ({ is }) => is],
  ],
);
const EMPTY = flatTable('nothing', [] as number[], [['value', 'number', (value) => value]]);

describe('ParquetFolder', () => {
  it('has every value and type, nulls and tables without rows', async () => {
    await new ParquetFolder(inFolder('out'), { force: false }).commit([TABLE, EMPTY], '1');
    expect(readdirSync(folder)).toEqual(['out']);
    expect(readdirSync(inFolder('out')).sort()).toEqual(['nothing.parquet', 'things.parquet']);
    const { schema, rows } = await read(inFolder('out/things.parquet'));
    expect(schema.map(({ name, type }) => [name, type])).toEqual([
      ['name', 'BYTE_ARRAY'],
      ['count', 'INT64'],
      ['share', 'DOUBLE'],
      ['is_it', 'BOOLEAN'],
    ]);
    expect(rows).toEqual([
      { name: 'one', count: 2n ** 53n - 1n, share: 0.5, is_it: true },
      { name: null, count: null, share: null, is_it: null },
    ]);
    const empty = await read(inFolder('out/nothing.parquet'));
    expect([empty.schema.map(({ name }) => name), empty.rows]).toEqual([['value'], []]);
  });

  it('is the same bytes twice', async () => {
    for (const name of ['a', 'b']) {
      await new ParquetFolder(inFolder(name), { force: false }).commit([TABLE], '1');
    }
    const bytes = (name: string) => readFileSync(inFolder(`${name}/things.parquet`));
    expect(bytes('a').equals(bytes('b'))).toBe(true);
  });

  it('is whole or not there', async () => {
    const folderOut = new ParquetFolder(inFolder('out'), { force: false });
    expect(existsSync(inFolder('out'))).toBe(false);
    folderOut.discard();
    expect(readdirSync(folder)).toEqual([]);
    const bad = { ...TABLE, name: 'no/such/folder' };
    const broken = new ParquetFolder(inFolder('out'), { force: false });
    await expect(broken.commit([TABLE, bad], '1')).rejects.toThrow('its folder does not exist');
    expect(readdirSync(folder)).toEqual([]);
  });

  it('replaces a folder of tables with force, and nothing else', async () => {
    const make = (name: string, force: boolean) => new ParquetFolder(inFolder(name), { force });
    await make('out', false).commit([TABLE, EMPTY], '1');
    expect(() => make('out', false)).toThrow('exists already (another name, or --force');
    await make('out/', true).commit([TABLE], '1');
    expect(readdirSync(inFolder('out'))).toEqual(['things.parquet']);
    mkdirSync(inFolder('mine'));
    writeFileSync(inFolder('mine/thesis.tex'), '');
    expect(() => make('mine', true)).toThrow('has thesis.tex, which is no table');
    writeFileSync(inFolder('file'), '');
    expect(() => make('file', true)).toThrow('is a file (name a folder)');
    expect(() => make('no/such', false)).toThrow('its folder does not exist');
    expect(readdirSync(folder).sort()).toEqual(['file', 'mine', 'out']);
  });
});

describe('tables of a comparison', () => {
  it('say what the result says, of failed runs what is known', async () => {
    const comparison = withCgroups(
      await fabricateComparison({
        slowdown: ({ policy, seed }) => (policy.name === 'oracle' ? null : 1 + seed / 10),
      }),
    );
    await new ParquetFolder(inFolder('out'), { force: false }).commit(
      comparisonTables(comparison),
      '1',
    );
    const { rows } = await read(inFolder('out/runs.parquet'));
    expect(rows).toHaveLength(comparison.runs.length);
    for (const [i, { result, failure, policy }] of comparison.runs.entries()) {
      expect(rows[i]).toMatchObject({
        run: BigInt(i),
        policy: comparison.policies[policy]?.label ?? 'all-DRAM',
        is_all_dram: policy < 0,
        total_ns: result?.time.totalNs ?? null,
        failure: failure?.message ?? null,
      });
      const expected = policy < 0 ? 1 : 1.1;
      if (result === null) expect(rows[i]!.slowdown).toBeNull();
      else expect(rows[i]!.slowdown).toBeCloseTo(expected, 6);
    }
    const finished = comparison.runs.filter(({ result }) => result !== null).length;
    const cgroups = await read(inFolder('out/cgroups.parquet'));
    expect(cgroups.rows).toHaveLength(2 * finished);
    expect(cgroups.rows[1]).toMatchObject({ cgroup: 'batch', mems: '1', hit_ratio: 0.75 });
    const nodes = await read(inFolder('out/nodes.parquet'));
    expect(nodes.rows).toHaveLength(2 * finished);
  });

  it('are described in docs/reports.md, column by column', async () => {
    const text = readFileSync(new URL('../../docs/reports.md', import.meta.url), 'utf8');
    const lines = text.split('\n');
    const processes = lines.find((line) => line.startsWith('| `processes` |'))!;
    for (const { name, columns } of comparisonTables(await fabricateComparison())) {
      const line = lines.find((one) => one.startsWith(`| \`${name}\` |`)) ?? '';
      const known = name === 'cgroups' ? line + processes : line;
      for (const column of columns) {
        expect([name, known.includes(`\`${column.name}\``), column.name]).toEqual([
          name,
          true,
          column.name,
        ]);
      }
    }
  });
});
