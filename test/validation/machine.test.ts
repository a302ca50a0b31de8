/**
 * The machine model against closed formulas and published measurements. Each row has its own bound;
 * `hetmem machine validate` prints the same rows.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseMachine } from '../../src/hw/machineFile.ts';
import type { MachineSpec } from '../../src/hw/machineSpec.ts';
import { isValid, type ValidationRow, validateFormulas } from '../../src/hw/machineValidation.ts';
import { validateModel, validatePublished } from '../../src/hw/publishedMeasurements.ts';

const MACHINES = new URL('../../machines/', import.meta.url);
const specs = readdirSync(MACHINES)
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => parseMachine(readFileSync(new URL(name, MACHINES), 'utf8'), name));

function shipped(name: string): MachineSpec {
  return specs.find((spec) => spec.name === name)!;
}

function outside(rows: readonly ValidationRow[]): string[] {
  return rows
    .filter((row) => !isValid(row))
    .map(
      ({ what, expected, model, unit, deviationPercent, boundPercent }) =>
        `${what}: ${model} instead of ${expected} ${unit}, ` +
        `${deviationPercent.toFixed(2)} % (at most ${boundPercent} %)`,
    );
}

describe('closed formulas', () => {
  test.each(specs.map((spec) => [spec.name, spec] as const))('%s', (_, spec) => {
    const rows = validateFormulas(spec);
    expect(rows.length).toBeGreaterThan(5);
    expect(outside(rows)).toEqual([]);
  });
});

describe('published measurements', () => {
  test.each([
    ['two-socket-dram', 16],
    ['dram-cxl-asic', 4],
    ['dram-cxl-fpga', 1],
    ['dram-4cxl', 10],
  ])('%s', (name, nrRows) => {
    const rows = validatePublished(shipped(name));
    expect(rows).toHaveLength(nrRows);
    expect(outside(rows)).toEqual([]);
  });

  test('no machine in particular', () => {
    expect(outside(validateModel(shipped('dram-cxl-asic')))).toEqual([]);
  });

  test('1:1 interleave: queueing comes closer to what was measured than min()', () => {
    const rows = validatePublished(shipped('dram-4cxl'));
    const deviation = (what: string) => rows.find((row) => row.what === what)!.deviationPercent;
    for (const mix of ['W2 (2:1)', 'W5 (1:1)']) {
      expect(deviation(`${mix} evenly`)).toBeLessThan(deviation(`${mix} evenly, min()`));
      expect(deviation(`${mix} evenly`)).toBeGreaterThan(0);
    }
  });
});
