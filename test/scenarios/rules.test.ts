/**
 * Every rule is named by a test or by an observed case (test/conformance/rules.json), or
 * rulesWithoutTest.json says why not.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import ofCases from '../conformance/rules.json' with { type: 'json' };
import exceptions from './rulesWithoutTest.json' with { type: 'json' };

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const FILES = [
  '00-overview',
  '01-move-pages',
  '02-migrate-core',
  '03-move-phys-pages',
  '04-heat-sources',
  '05-tiering',
  '06-pins-and-movable',
  '07-hmm-and-device-memory',
];

/** "MP-64,101..103; OV-31a" as single ids. */
function idsIn(text: string): string[] {
  const ids: string[] = [];
  for (const [whole] of text.matchAll(
    /\b[A-Z]{2}-\d+[a-z]?(?:\.\.(?:[A-Z]{2}-)?\d+|,\d+[a-z]?)*/g,
  )) {
    const group = whole.slice(0, 3);
    for (const part of whole.replaceAll(group, '').split(',')) {
      const [first, last] = part.split('..');
      ids.push(group + first);
      for (let n = Number.parseInt(first, 10) + 1; n <= Number(last); n++) ids.push(group + n);
    }
  }
  return ids;
}

function rulesOf(file: string): string[] {
  const text = readFileSync(join(root, `docs/model/rules/${file}.md`), 'utf8');
  const rules = text.matchAll(/\*\*((?:OV|MP|MC|PP|HS|TI|PM|DM)-\d+[a-z]?)\b/g);
  return [...new Set(Array.from(rules, (rule) => rule[1]))];
}

/** A comment beside a test names nothing. */
function namedRules(): Set<string> {
  const named = new Set(Object.values(ofCases).flatMap(idsIn));
  for (const folder of ['src', 'test']) {
    for (const path of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
      if (!/\.(test|slow)\.ts$/.test(path) || path.endsWith('rules.test.ts')) continue;
      const lines = readFileSync(join(root, folder, path), 'utf8').split('\n');
      for (const line of lines.filter((one) => !/^\s*(\/\/|\*|\/\*)/.test(one))) {
        for (const id of idsIn(line)) named.add(id);
      }
    }
  }
  return named;
}

const named = namedRules();
const excepted: Readonly<Record<string, string>> = exceptions;

describe('rules', () => {
  it('are read as they are written', () => {
    expect(idsIn('MP-64,101a; OV-3..5, PM-1..PM-2')).toEqual([
      'MP-64',
      'MP-101a',
      'OV-3',
      'OV-4',
      'OV-5',
      'PM-1',
      'PM-2',
    ]);
  });

  it.each(FILES)('%s: each is named by a test or a case, or there is a reason', (file) => {
    const rules = rulesOf(file);
    expect(rules.length).toBeGreaterThan(40);
    expect(rules.filter((id) => !named.has(id) && excepted[id] === undefined)).toEqual([]);
  });

  it('leave the list of exceptions when they have a test, and give a reason', () => {
    const rules = FILES.flatMap(rulesOf);
    for (const [id, reason] of Object.entries(excepted)) {
      expect(rules, 'a rule of the documents').toContain(id);
      expect(reason.length, `reason of ${id}`).toBeGreaterThan(15);
      expect(named.has(id), `${id} is named by a test`).toBe(false);
    }
  });
});
