import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { findPolicy, resolveKnobs } from './index.ts';
import { makePolicy } from './naiveHost.ts';
import { machineSettings, settingsText } from './settingsText.ts';

const NODES = { fast: [0], slow: [1] };

describe('settings for a real machine', () => {
  it('are written to the files that Linux has for them', () => {
    expect(settingsText(makePolicy('demotion-only').settings, NODES)).toEqual([
      'echo 0 > /proc/sys/kernel/numa_balancing',
      'echo true > /sys/kernel/mm/numa/demotion_enabled',
    ]);
    const balancing = settingsText(makePolicy('numa-balancing', { scanDelay: 50 }).settings, NODES);
    expect(balancing).toContain('echo 50 > /sys/kernel/debug/sched/numa_balancing/scan_delay_ms');
    expect(balancing.filter((line) => line.startsWith('#'))).toEqual([]);
  });

  it('configure memtierd as its samples do', () => {
    const settings = (name: string, params: Record<string, unknown> = {}) => {
      const description = findPolicy(name)!;
      const { values } = resolveKnobs(description.knobs, params);
      return machineSettings(description, values, { fast: [0, 1], slow: [2, 3] });
    };
    const age = settings('memtierd-age', { interval: 0.2, idleDuration: 7500, bandwidth: 100 });
    const yaml = parse(age.slice(3, -2).join('\n'));
    expect(age[2]).toBe("cat > memtierd.yaml <<'EOF'");
    expect(age.slice(-2)).toEqual(['EOF', 'memtierd -config memtierd.yaml']);
    expect(yaml.policy.name).toBe('age');
    const config = parse(yaml.policy.config);
    expect(config).toMatchObject({
      intervalms: 1,
      idledurationms: 7500,
      idlenumas: [2, 3],
      activedurationms: 10_000,
      activenumas: [0, 1],
      mover: { intervalms: 20, bandwidth: 100 },
    });
    expect(parse(config.tracker.config)).toMatchObject({ pagesinregion: 512, scanintervalms: 1 });
    const heat = settings('memtierd-heat', { heatClasses: 4, hotClass: 3, coldClass: 0 });
    expect(parse(parse(heat.slice(3, -2).join('\n')).policy.config)).toMatchObject({
      heatnumas: { 0: [2, 3], 3: [0, 1] },
      heatmap: { heatmax: 1, heatretention: 0.9513, heatclasses: 4 },
    });
  });

  it('say where Linux has nothing that decides so', () => {
    const hemem = findPolicy('hemem')!;
    const { values } = resolveKnobs(hemem.knobs, {});
    const lines = machineSettings(hemem, values, { fast: [0], slow: [1] });
    expect(lines.at(-1)).toBe(`# not set up by these lines, what decides: ${hemem.source}`);
    const tpp = findPolicy('tpp')!;
    const own = resolveKnobs(tpp.knobs, {}).values;
    const settings = machineSettings(tpp, own, { fast: [0], slow: [1] });
    expect(settings[0]).toBe("# needs a kernel with TPP's patches: no release has them");
    expect(settings.join()).not.toContain('no part of');
  });

  it('start programs under their memory policy, with its weights (TI-82)', () => {
    const lines = (name: string, params: Record<string, boolean | number> = {}) =>
      settingsText(makePolicy(name, params).settings, { fast: [0, 1], slow: [2] }).slice(2);
    const at = '/sys/kernel/mm/mempolicy/weighted_interleave';
    const start = 'numactl --weighted-interleave=all PROGRAM';
    expect(lines('interleave')).toEqual(['numactl --interleave=all PROGRAM']);
    expect(lines('weighted-interleave')).toEqual([`echo true > ${at}/auto`, start]);
    const given = { autoWeights: false, weightToptier: 5, weightSlow: 2 };
    expect(lines('weighted-interleave', given)).toEqual([
      `echo 5 > ${at}/node0`,
      `echo 5 > ${at}/node1`,
      `echo 2 > ${at}/node2`,
      start,
    ]);
  });

  it('have DAMON migrate between the nodes of the machine', () => {
    const lines = settingsText(makePolicy('damon').settings, { fast: [0, 1], slow: [2, 3] });
    const targets = lines.filter((line) => line.endsWith('/target_nid'));
    expect(targets.map((line) => line.split(' ')[1])).toEqual(['0', '2']);
    expect(lines).toContain('# fast is node 0, slow is node 2');
  });

  it('tell DAMON to tune intervals only if asked: kernels before 6.15 cannot (HS-87)', () => {
    const lines = (params: Record<string, number>) => {
      const { settings } = makePolicy('damon', params);
      const all = settingsText(settings, { fast: [0], slow: [1] });
      return all.filter(
        (line) => line.includes('/0/contexts/0/') && line.includes('intervals_goal'),
      );
    };
    const written = lines({ sample: 2 }).map((line) => [
      line.split(' ')[1],
      line.split('/').at(-1),
    ]);
    expect(written).toEqual([
      ['400', 'access_bp'],
      ['3', 'aggrs'],
      ['2000', 'min_sample_us'],
      ['10000000', 'max_sample_us'],
    ]);
    expect(lines({ accessGoal: 0 })).toEqual([]);
  });
});
