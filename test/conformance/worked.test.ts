/**
 * Cases that no kernel was asked, worked out from rules and source: what happens to memory while a
 * device has it. Each says in `why` which rules decide. They are kept apart from observed cases.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parseCases, runCase } from '../../src/conform/index.ts';
import { checkInvariants } from '../../src/mm/index.ts';
import { machines } from './ownCases.ts';

const folder = dirname(fileURLToPath(import.meta.url));
const text = readFileSync(join(folder, 'worked/device.jsonl'), 'utf8');
const whys = text
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as { id: string; why: string; about: string });
const cases = parseCases(text, 'device.jsonl').map((one, i) => [whys[i], one] as const);

describe('memory that a device has, worked out', () => {
  it.each(cases)('$id: $about ($why)', ({ why }, one) => {
    expect(why).toMatch(/^worked out, not observed: (DM|MP)/);
    const result = runCase(one, machines, checkInvariants);
    expect(result.error).toBeNull();
    expect(result.difference).toBeNull();
    expect(result.status).toBe('passed');
  });
});
