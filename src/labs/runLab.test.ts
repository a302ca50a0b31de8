/** F4: parameters of labs are checked, results are plain and the same each time. */
import { describe, expect, it } from 'vitest';
import { UserError } from '../base/assert.ts';
import { EXPERIMENTAL_FEATURES } from '../hw/index.ts';
import { FigureReader } from './figureReader.ts';
import { LABS } from './list.ts';
import { knobsOf, runLab } from './runLab.ts';
import { skeleton } from './skeleton.ts';

describe('running a lab', () => {
  it('gives question, figures and verdict with name, seed, knobs and version', () => {
    const result = runLab(skeleton, { seed: 7, settings: ['movable=32'] }, '1.2.3');
    expect(result).toMatchObject({ name: 'skeleton', seed: 7, version: '1.2.3' });
    expect(result.knobs).toEqual({ movable: 32 });
    expect(result.figures[0].rows[0][0]).toBe(96);
    expect(result.verdict).toMatch(/^The kernel gets 6[0-9] % of the node\.$/);
    expect(JSON.parse(JSON.stringify(result))).toEqual(result);
    const again = runLab(skeleton, { seed: 7, settings: ['movable=32'] }, '1.2.3');
    expect(JSON.stringify(again)).toBe(JSON.stringify(result));
  });

  it.each([
    ['movable', 'is not knob=value (skeleton has movable)'],
    ['movable=many', 'movable is a number of MiB, not "many"'],
    ['movable=1.5', 'movable is a whole number of MiB, not 1.5'],
    ['movable=9999', 'movable is 0 to 1024 MiB, not 9999'],
    ['moveable=1', 'there is no knob moveable (it has movable)'],
  ])('refuses --set %s', (setting, problem) => {
    expect(() => knobsOf(skeleton, [setting])).toThrow(UserError);
    expect(() => knobsOf(skeleton, [setting])).toThrow(`--set ${setting}: ${problem}`);
  });
});

describe('figures', () => {
  it('a name that is not there is a bug of the lab', () => {
    const columns = [
      { name: 'pins', unit: '' },
      { name: 'got', unit: 'MiB' },
    ];
    const drawing = { kind: 'none' } as const;
    const rows = [
      ['before', 2],
      ['after', null],
    ];
    const reader = new FigureReader([{ id: 'f', title: 'F', columns, rows, drawing }]);
    expect(reader.number('f', ['before'], 'got')).toBe(2);
    expect(reader.column('f', 'got')).toEqual([2]);
    expect(() => reader.number('f', ['after'], 'got')).toThrow('no number');
    expect(() => reader.number('f', ['never'], 'got')).toThrow('no row never');
    expect(() => reader.figure('g')).toThrow('no figure g');
    expect(() => reader.column('f', 'lost')).toThrow('no column lost');
  });
});

describe('the list of labs', () => {
  it.each(LABS.map((lab) => [lab.name, lab] as const))(
    '%s: the setup is a sentence a line, and names what is experimental (D9..D13)',
    (_, lab) => {
      const setup = lab.setup(knobsOf(lab, []));
      for (const line of setup) expect(line, 'a whole sentence').toMatch(/[.?]$/);
      const named = EXPERIMENTAL_FEATURES.filter((one) => setup.join(' ').includes(one));
      expect([...(lab.experimental ?? [])].sort()).toEqual(named);
    },
  );

  it('has names for the command line, questions, threads and missions', () => {
    expect(new Set(LABS.map(({ name }) => name)).size).toBe(LABS.length);
    for (const { name, question, thread, missions, positions, notModelled } of LABS) {
      expect(name).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
      expect(question).toMatch(/\?$/);
      expect(thread).toMatch(/-20[0-9]{2}$/);
      expect(missions.length).toBeGreaterThan(0);
      expect(positions.length).toBeGreaterThan(0);
      expect(notModelled.length).toBeGreaterThan(0);
    }
  });
});
