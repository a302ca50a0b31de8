/**
 * Every scenario of docs/model/rules/scenarios.md is a test that cites its id. The tests lie beside
 * what they test and in this folder; this one finds them, so that none is forgotten.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import pending from './pending.json' with { type: 'json' };

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const GROUPS = ['OV', 'MP', 'MB', 'MC', 'PP', 'HS', 'TI', 'PM', 'DM'];

/** Ids of a group in the order of the document. */
function scenariosOf(group: string): string[] {
  const text = readFileSync(join(root, 'docs/model/rules/scenarios.md'), 'utf8');
  const rows = text.matchAll(new RegExp(`^\\| (S-${group}-\\d+) \\|`, 'gm'));
  return Array.from(rows, (row) => row[1]);
}

/** Ids in the titles of tests: a comment beside a test is not a citation. */
function citedIds(): Set<string> {
  const cited = new Set<string>();
  const files = ['src', 'test'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((path) => /\.(test|slow)\.ts$/.test(path))
      .map((path) => join(root, folder, path)),
  );
  for (const path of files) {
    for (const line of readFileSync(path, 'utf8').split('\n')) {
      if (/^\s*(\/\/|\*|\/\*)/.test(line)) continue;
      for (const [id] of line.matchAll(/\bS-[A-Z]{2}-\d+\b/g)) cited.add(id);
    }
  }
  return cited;
}

const cited = citedIds();
const waiting: Readonly<Record<string, string>> = pending;

describe.each(GROUPS)('scenarios of group %s', (group) => {
  const ids = scenariosOf(group);

  it('are listed', () => {
    expect(ids.length).toBeGreaterThan(5);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('each have a test that cites them, or a reason why not yet', () => {
    const missing = ids.filter((id) => !cited.has(id) && waiting[id] === undefined);
    expect(missing).toEqual([]);
  });
});

describe('scenarios that wait', () => {
  it('leave the list when they have a test, and give a reason', () => {
    const all = GROUPS.flatMap(scenariosOf);
    for (const [id, reason] of Object.entries(waiting)) {
      expect(all, 'a scenario of the document').toContain(id);
      expect(cited.has(id), `${id} has a test and leaves pending.json`).toBe(false);
      expect(reason.length, `reason of ${id}`).toBeGreaterThan(20);
    }
    const lines = Object.entries(waiting).map(([id, reason]) => `  ${id}: ${reason}`);
    if (lines.length > 0) process.stdout.write(`scenarios without a test:\n${lines.join('\n')}\n`);
  });
});
