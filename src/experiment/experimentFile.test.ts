import { readFileSync } from 'node:fs';
import { describe, expect, it, test } from 'vitest';
import { CATALOGUE } from '../../test/experiment/fabricate.ts';
import { UserError } from '../base/assert.ts';
import { MIB } from '../base/units.ts';
import { experimentJsonSchema, parseExperiment, parseHeadroom } from './experimentFile.ts';

const WHOLE = `format: experiment/1
name: sweep
question: How much does the ratio matter?
machines:
  - test-machine
  - machine: ../my/machine.yaml
    ratio: [1:2, 1:8]
    headroom: 2%
policies:
  - first-touch
  - name: hemem
    params: {samplePeriod: 50}
  - name: hemem
    label: hemem, rarely
    params: {samplePeriod: 5000}
workloads:
  - redis
  - trace: other/x.hmt
  - generator: gups
    params: {hot: false}
seeds: [7, 9]
series_points: 40
`;

const parse = (text: string) => parseExperiment(text, 'e.yaml', CATALOGUE);

describe('parseExperiment', () => {
  it('reads everything that can be said', () => {
    const experiment = parse(WHOLE);
    const share = { bytes: 0, share: 0.02 };
    expect(experiment.machines).toEqual([
      { machine: 'test-machine', ratio: null, headroom: { bytes: 0, share: 0 } },
      { machine: '../my/machine.yaml', ratio: { fast: 1, slow: 2 }, headroom: share },
      { machine: '../my/machine.yaml', ratio: { fast: 1, slow: 8 }, headroom: share },
    ]);
    expect(experiment.policies).toEqual([
      { name: 'first-touch', params: {}, label: 'first-touch' },
      { name: 'hemem', params: { samplePeriod: 50 }, label: 'hemem (samplePeriod=50)' },
      { name: 'hemem', params: { samplePeriod: 5000 }, label: 'hemem, rarely' },
    ]);
    expect(experiment.workloads).toEqual([
      { name: 'redis', trace: 'redis', generator: '', params: {} },
      { name: 'x', trace: 'other/x.hmt', generator: '', params: {} },
      { name: 'gups (hot=false)', trace: '', generator: 'gups', params: { hot: false } },
    ]);
    expect([experiment.seeds, experiment.seriesPoints]).toEqual([[7, 9], 40]);
  });

  it('has defaults, and counts repetitions as seeds', () => {
    const head = 'format: experiment/1\nname: a\nmachines: [test-machine]\n';
    const rest = 'policies: [oracle]\nworkloads: [gups]\n';
    expect(parse(head + rest)).toMatchObject({ question: '', seeds: [1], seriesPoints: 120 });
    expect(parse(`${head}${rest}repetitions: 3\n`).seeds).toEqual([1, 2, 3]);
    expect(parse(head + rest).workloads[0]).toMatchObject({ generator: 'gups', trace: '' });
  });

  it.each([
    [
      'hemem, rarely',
      'hemem (samplePeriod=50)',
      'e.yaml:13:5: policies.2: hemem (samplePeriod=50) is there twice',
    ],
    [
      'first-touch',
      'first-tuch',
      'e.yaml:10:5: policies.0: no policy first-tuch (did you mean first-touch?)',
    ],
    [
      'samplePeriod: 50}',
      'samplePeroid: 50}',
      'e.yaml:12:28: policies.1.params.samplePeroid: there is no knob',
    ],
    [
      'samplePeriod: 50}',
      'samplePeriod: no}',
      'e.yaml:12:28: policies.1.params.samplePeriod: samplePeriod is a',
    ],
    [
      'test-machine',
      'test-mashine',
      'e.yaml:5:5: machines.0: no machine test-mashine (did you mean test-machine?)',
    ],
    [
      '[1:2, 1:8]',
      '[1:2, 8]',
      'e.yaml:7:18: machines.1.ratio.1: expected a ratio (FAST:SLOW, such as 1:2)',
    ],
    ['[1:2, 1:8]', '1:0', 'e.yaml:7:12: machines.1.ratio: a part of the ratio is 0'],
    [
      'headroom: 2%',
      'headrom: 2%',
      'e.yaml:8:5: machines.1.headrom: unknown key headrom (did you mean headroom?)',
    ],
    [
      'headroom: 2%',
      'headroom: much',
      'e.yaml:8:15: machines.1.headroom: expected a size or a share',
    ],
    ['- redis', '- rediss', 'e.yaml:17:5: workloads.0: no trace rediss (did you mean redis?)'],
    [
      'generator: gups',
      'generator: gubs',
      'e.yaml:19:5: workloads.2: no generator gubs (did you mean gups?)',
    ],
    ['seeds: [7, 9]', 'seeds: [7, 7]', 'e.yaml:21:12: seeds.1: 7 is there twice (remove one)'],
    [
      'seeds: [7, 9]',
      'seeds: [7]\nrepetitions: 2',
      'e.yaml:22:14: repetitions: both seeds and repetitions',
    ],
    ['name: sweep', 'name: a/b', 'e.yaml:2:7: name: not a name for files'],
    ['experiment/1', 'machine/1', 'e.yaml:1:9: format: not an experiment file (it begins with'],
    ['policies:', 'policys:', 'e.yaml:9:1: policys: unknown key policys (did you mean policies?)'],
    ['series_points: 40', 'series_points: [', 'e.yaml:23:1: '],
  ])('tells where %j as %j is wrong', (old, changed, message) => {
    expect(() => parse(WHOLE.replace(old, changed))).toThrow(UserError);
    expect(() => parse(WHOLE.replace(old, changed))).toThrow(message);
  });

  it('reads programs that run together, in control groups', () => {
    const { workloads } = parse(
      WHOLE.replace('- redis\n', '- redis@web+gups@batch:mems=1\n').replace(
        'generator: gups\n',
        'together:\n      - trace: a/x.hmt\n        cgroup: web\n      - gups\n    name: both #',
      ),
    );
    expect(workloads[0]!.name).toBe('redis@web+gups@batch:mems=1');
    expect(workloads[0]!.together!.map(({ cgroup }) => cgroup?.mems)).toEqual([[], [1]]);
    expect(workloads[2]).toMatchObject({ name: 'both', together: [{ trace: 'a/x.hmt' }, {}] });
    expect(workloads[2]!.together![0]!.cgroup).toEqual({ name: 'web', mems: [] });
    for (const [old, changed, message] of [
      ['- redis', '- redis@a:b', 'e.yaml:17:5: workloads.0: no control group behind the @'],
      ['other/x.hmt', 'x.hmt\n    cgroup: a/b', 'e.yaml:19:13: workloads.1.cgroup: not a control'],
      ['other/x.hmt', 'x.hmt\n    cgroup: a:mems=32', 'mems=32 is no list of nodes from 0 to 30'],
      ['- redis', '- redis+gups@a:mems=32', '@: mems=32 is no list of nodes from 0 to 30'],
    ] as const) {
      expect(() => parse(WHOLE.replace(old, changed))).toThrow(message);
    }
  });

  it('tells every mistake, a line each', () => {
    const text = WHOLE.replace('test-machine', 'nosuch').replace('- first-touch', '- nosuch');
    expect(() => parse(text)).toThrow(/e\.yaml:5:5: .*\ne\.yaml:10:5: /);
  });
});

describe('parseHeadroom', () => {
  it.each([
    ['0', { bytes: 0, share: 0 }],
    ['64MiB', { bytes: 64 * MIB, share: 0 }],
    ['1.5 GiB', { bytes: 1536 * MIB, share: 0 }],
    ['5%', { bytes: 0, share: 0.05 }],
    ['5', null],
    ['-1%', null],
  ])('reads %s', (text, headroom) => {
    expect(parseHeadroom(text)).toEqual(headroom);
  });
});

test('docs/experiment.schema.json is what `hetmem run --schema` prints', () => {
  const path = new URL('../../docs/experiment.schema.json', import.meta.url);
  const shipped = JSON.parse(readFileSync(path, 'utf8'));
  expect(shipped).toEqual(JSON.parse(JSON.stringify(experimentJsonSchema())));
});
