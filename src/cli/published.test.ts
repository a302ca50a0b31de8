/** `hetmem published`: files of tables, the schema, and how it refuses. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createProgram } from './program.ts';
import { describe as describePublished } from './published.ts';

const TABLE = `format: published/1
name: mine
title: Mine
question: How fast is one node?
source: nobody
mark: R
measure: bandwidth
scaling: []
limits: []
run: {machine: two-socket-dram, lines: 1, read_share: 1}
columns: [{name: latency, unit: ns, metric: latency, digits: 1}]
rows: [{name: local, published: [80.8], run: {weights: [1]}}]
rules: [{near: [local], by: 0.01, means: as given}]
`;

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hetmem-published-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
  vi.restoreAllMocks();
});

async function run(...args: string[]): Promise<string> {
  let out = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += text;
    return true;
  });
  const program = createProgram('0', [{ heading: 'Tables:', describe: [describePublished] }]);
  await program.parseAsync(['node', 'hetmem', 'published', ...args]);
  return out;
}

function file(text: string): string {
  const path = join(folder, 'mine.yaml');
  writeFileSync(path, text);
  return path;
}

it('runs a file of the user, as text and as JSON', async () => {
  const path = file(TABLE);
  expect(await run(path)).toContain('agrees in shape: 1 of 1 rules hold');
  const [result] = JSON.parse(await run(path, '--json'));
  expect(result).toMatchObject({
    format: 'reproduction/1',
    table: { name: 'mine', rows: [{ name: 'local', published: [80.8], mark: 'R' }] },
    ours: [[expect.closeTo(80.8, 0)]],
    judgement: { agreement: 'agrees in shape', findings: [{ holds: true, shown: null }] },
    failures: [],
  });
});

it('tells mistakes with their place', async () => {
  const wrong = run(file(TABLE.replace('metric: latency', 'metric: speed')));
  await expect(wrong).rejects.toThrow('mine.yaml:11:45: columns.0.metric: no metric speed');
  await expect(run(join(folder, 'no.yaml'))).rejects.toThrow('there is no such file');
  await expect(run('tpp-cash')).rejects.toThrow('did you mean tpp-cache?');
});

it('docs/published.schema.json is what --schema prints', async () => {
  const path = new URL('../../docs/published.schema.json', import.meta.url);
  expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual(JSON.parse(await run('--schema')));
});
