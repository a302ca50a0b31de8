/** HS-110..HS-112: DAMON's control files: the tree, what writes refuse, commands. */
import { describe, expect, it } from 'vitest';
import { Kernel, plainMachine, runDamon } from '../mm/index.ts';
import { EACCES, EBUSY, EINVAL, ENOENT, ENOMEM, ERANGE } from '../uapi/errno.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { DAMON_ROOT, writeDamonFile } from './damonFiles.ts';
import { kernelFileAt } from './fileTree.ts';

class Admin {
  readonly k: Kernel;

  constructor(kernel: '7.3' | '6.12' | '6.1' = '7.3') {
    const zones = [{ zone: ZONE_NORMAL, pages: 4096 }];
    const spec = { ...plainMachine([{ cpus: [0], zones }]), kernel };
    this.k = new Kernel(spec, { seed: 1, trackContent: false });
  }

  write(path: string, value: string): number {
    return writeDamonFile(this.k, `${DAMON_ROOT}/kdamonds/${path}`, value, () => this.pass(1));
  }

  read(path: string): string | number {
    const file = kernelFileAt(this.k, `${DAMON_ROOT}/kdamonds/${path}`);
    if (file === null || typeof file === 'number') return file ?? 0;
    return file.kind === 'text' ? file.text().trimEnd() : '';
  }

  pass(ms: number): void {
    for (let n = 0; n < ms; n++) {
      this.k.nowNs += 1_000_000;
      runDamon(this.k);
    }
  }

  /** One paddr context over node 0 with one scheme that takes everything. */
  ready(): void {
    const c = '0/contexts/0';
    const zone = this.k.pm.zones.find((one) => one.presentPages > 0)!;
    for (const [path, value] of [
      ['nr_kdamonds', '1'],
      ['0/contexts/nr_contexts', '1'],
      [`${c}/operations`, 'paddr'],
      [`${c}/targets/nr_targets`, '1'],
      [`${c}/targets/0/regions/nr_regions`, '1'],
      [`${c}/targets/0/regions/0/start`, String(zone.startPfn * 4096)],
      [`${c}/targets/0/regions/0/end`, String(zone.endPfn * 4096)],
      [`${c}/schemes/nr_schemes`, '1'],
      [`${c}/schemes/0/access_pattern/sz/max`, '18446744073709551615'],
      [`${c}/schemes/0/access_pattern/nr_accesses/max`, '4294967295'],
      [`${c}/schemes/0/access_pattern/age/max`, '4294967295'],
    ]) {
      expect(this.write(path, value), path).toBe(0);
    }
  }
}

describe('older kernels', () => {
  const c = '0/contexts/0';
  const s = `${c}/schemes/0`;

  // HS-81, HS-84, HS-85, HS-87: what came with 6.11, 6.14, 6.15, 6.16 and 6.17.
  it.each<[string, string, string, number, number]>([
    ['ops_filters, 6.14', `${s}/ops_filters/nr_filters`, '1', -ENOENT, -ENOENT],
    ['allow, 6.14', `${s}/filters/0/allow`, 'Y', -ENOENT, -ENOENT],
    ['matching', `${s}/filters/0/matching`, 'Y', 0, 0],
    [
      'intervals_goal, 6.15',
      `${c}/monitoring_attrs/intervals/intervals_goal/aggrs`,
      '3',
      -ENOENT,
      -ENOENT,
    ],
    [
      'goals of nodes, 6.16',
      `${s}/quotas/goals/0/target_metric`,
      'node_mem_used_bp',
      -EINVAL,
      -EINVAL,
    ],
    ['goals of users', `${s}/quotas/goals/0/target_metric`, 'user_input', 0, 0],
    ['their node, 6.16', `${s}/quotas/goals/0/nid`, '0', -ENOENT, -ENOENT],
    ['migration, 6.11', `${s}/action`, 'migrate_hot', 0, -EINVAL],
    ['its target, 6.11', `${s}/target_nid`, '1', 0, -ENOENT],
    ['weighted targets, 6.17', `${s}/dests/nr_dests`, '1', -ENOENT, -ENOENT],
  ])('have no %s', (_, path, value, on612, on61) => {
    const written = (['7.3', '6.12', '6.1'] as const).map((kernel) => {
      const a = new Admin(kernel);
      a.ready();
      expect(a.write(`${s}/filters/nr_filters`, '1')).toBe(0);
      expect(a.write(`${s}/quotas/goals/nr_goals`, '1')).toBe(0);
      const result = a.write(path, value);
      if (result === -ENOENT) expect(a.read(path)).toBe(-ENOENT);
      return result;
    });
    expect(written).toEqual([0, on612, on61]);
  });
});

describe('the tree', () => {
  it('grows by nr_ files and has the defaults of Linux (HS-110)', () => {
    const a = new Admin();
    expect(a.read('0/state')).toBe(-ENOENT);
    a.ready();
    expect([a.read('0/state'), a.read('0/pid')]).toEqual(['off', '-1']);
    const attrs = '0/contexts/0/monitoring_attrs';
    expect(a.read(`${attrs}/intervals/sample_us`)).toBe('5000');
    expect(a.read(`${attrs}/intervals/aggr_us`)).toBe('100000');
    expect([a.read(`${attrs}/nr_regions/min`), a.read(`${attrs}/nr_regions/max`)]).toEqual([
      '10',
      '1000',
    ]);
    expect(a.read('0/contexts/0/schemes/0/action')).toBe('stat');
    expect(a.read('0/contexts/0/schemes/0/target_nid')).toBe('-1');
    expect(a.read('0/contexts/0/schemes/0/access_pattern/sz/max')).toBe('18446744073709551615');
  });

  it('refuses unknown words, junk, a second context, and writes to what is only read', () => {
    const a = new Admin();
    a.ready();
    expect(a.write('0/contexts/0/operations', 'padr')).toBe(-EINVAL);
    expect(a.write('0/contexts/0/schemes/0/action', 'migrate')).toBe(-EINVAL);
    expect(a.write('0/contexts/0/schemes/0/quotas/ms', 'x')).toBe(-EINVAL);
    expect(a.write('0/contexts/nr_contexts', '2')).toBe(-EINVAL);
    expect(a.write('0/contexts/0/schemes/0/stats/nr_tried', '1')).toBe(-EACCES);
    expect(a.write('0/contexts/1/operations', 'paddr')).toBe(-ENOENT);
    expect(a.write('0/state', 'onn')).toBe(-EINVAL);
  });

  it('refuses numbers that no int and no allocation holds', () => {
    const a = new Admin();
    a.ready();
    const regions = '0/contexts/0/targets/0/regions';
    a.write('0/contexts/0/targets/nr_targets', '1');
    expect(a.write(`${regions}/nr_regions`, '4294967295')).toBe(-ERANGE);
    expect(a.write(`${regions}/nr_regions`, '2147483647')).toBe(-ENOMEM);
    expect(a.write(`${regions}/nr_regions`, '-1')).toBe(-EINVAL);
    expect(a.read(`${regions}/nr_regions`)).toBe('0');
    const quota = '0/contexts/0/schemes/0/quotas/ms';
    expect(a.write(quota, '18446744073709551616')).toBe(-ERANGE);
  });
});

describe('commands (HS-111)', () => {
  it('on: wrong attributes show here (S-HS-18); twice is -EBUSY', () => {
    const a = new Admin();
    a.ready();
    a.write('0/contexts/0/monitoring_attrs/nr_regions/min', '2');
    expect(a.write('0/state', 'on')).toBe(-EINVAL);
    a.write('0/contexts/0/monitoring_attrs/nr_regions/min', '3');
    expect([a.write('0/state', 'on'), a.read('0/state')]).toEqual([0, 'on']);
    expect(a.write('0/state', 'on')).toBe(-EBUSY);
    expect(a.write('nr_kdamonds', '0')).toBe(-EBUSY);
    expect([a.write('0/state', 'off'), a.read('0/state')]).toEqual([0, 'off']);
    expect(a.write('0/state', 'off')).toBe(-EINVAL);
    expect(a.write('nr_kdamonds', '0')).toBe(0);
  });

  it('statistics show after update_schemes_stats only', () => {
    const a = new Admin();
    a.ready();
    a.write('0/state', 'on');
    a.pass(250);
    const tried = '0/contexts/0/schemes/0/stats/nr_tried';
    expect(a.read(tried)).toBe('0');
    expect(a.write('0/state', 'update_schemes_stats')).toBe(0);
    expect(Number(a.read(tried))).toBeGreaterThan(0);
  });

  it('update_schemes_tried_regions waits for the next turn and covers the target (HS-112)', () => {
    const a = new Admin();
    a.ready();
    a.write('0/state', 'on');
    a.pass(50);
    const before = a.k.nowNs;
    expect(a.write('0/state', 'update_schemes_tried_regions')).toBe(0);
    expect(a.k.nowNs).toBeGreaterThan(before);
    const tried = '0/contexts/0/schemes/0/tried_regions';
    expect(a.read(`${tried}/total_bytes`)).toBe(String(4096 * 4096));
    expect(a.read(`${tried}/0/nr_accesses`)).toBe('0');
    expect(a.write('0/state', 'clear_schemes_tried_regions')).toBe(0);
    expect(a.read(`${tried}/0/start`)).toBe(-ENOENT);
  });

  it('commit keeps regions and statistics, and takes new attributes', () => {
    const a = new Admin();
    a.ready();
    a.write('0/state', 'on');
    a.pass(250);
    a.write('0/contexts/0/monitoring_attrs/intervals/aggr_us', '200000');
    expect(a.write('0/state', 'commit')).toBe(0);
    const ctx = a.k.damon.contexts[0];
    expect([ctx.attrs.aggrUs, ctx.schemes[0].stat.nrTried > 0]).toEqual([200000, true]);
    a.write('0/contexts/0/monitoring_attrs/nr_regions/min', '1');
    expect(a.write('0/state', 'commit')).toBe(-EINVAL);
    expect(a.k.damon.contexts[0].isRunning).toBe(true);
  });

  it('update_tuned_intervals shows what the goal made of the intervals (HS-87)', () => {
    const a = new Admin();
    a.ready();
    const at = '0/contexts/0/monitoring_attrs/intervals';
    for (const [file, value] of [
      ['access_bp', '400'],
      ['aggrs', '3'],
      ['min_sample_us', '6000'],
      ['max_sample_us', '20000'],
    ]) {
      expect(a.write(`${at}/intervals_goal/${file}`, value)).toBe(0);
    }
    expect(a.write('0/state', 'on')).toBe(-EINVAL);
    a.write(`${at}/intervals_goal/min_sample_us`, '5000');
    expect(a.write('0/state', 'on')).toBe(0);
    a.pass(3000);
    expect([a.read(`${at}/sample_us`), a.read(`${at}/aggr_us`)]).toEqual(['5000', '100000']);
    expect(a.write('0/state', 'update_tuned_intervals')).toBe(0);
    expect([a.read(`${at}/sample_us`), a.read(`${at}/aggr_us`)]).toEqual(['20000', '400000']);
    expect(a.read(`${at}/intervals_goal/min_sample_us`)).toBe('5000');
  });
});
