import { describe, expect, it } from 'vitest';
import { parseCgroup, parseNodeList, splitCgroup } from './cgroup.ts';

describe('control groups of programs', () => {
  it('are names, with nodes behind them', () => {
    expect(parseCgroup('web')).toEqual({ name: 'web', mems: [] });
    expect(parseCgroup('batch.slice:mems=1')).toEqual({ name: 'batch.slice', mems: [1] });
    expect(parseCgroup('a:mems=2,0-1')).toEqual({ name: 'a', mems: [0, 1, 2] });
    for (const text of [
      '',
      '.',
      '..',
      'a/b',
      'a:',
      'a:mems=',
      'a:mems=x',
      'a:cpus=1',
      'a:mems=1:x',
    ]) {
      expect(parseCgroup(text), text).toBeNull();
    }
  });

  it('lists of nodes are those of cpuset.mems', () => {
    expect(parseNodeList('0-2,2,5')).toEqual([0, 1, 2, 5]);
    for (const text of ['', '1-', '2-1', '64', '-1', '1 2']) {
      expect(parseNodeList(text), text).toBeNull();
    }
  });

  it('stand behind an @ that is not part of a path', () => {
    expect(splitCgroup('redis@web')).toEqual({
      program: 'redis',
      group: { name: 'web', mems: [] },
    });
    expect(splitCgroup('me@home/my.hmt')).toEqual({ program: 'me@home/my.hmt', group: null });
    expect(splitCgroup('my@home.hmt').group).toBeNull();
    expect(splitCgroup('me@home/my.hmt@web:mems=0')).toEqual({
      program: 'me@home/my.hmt',
      group: { name: 'web', mems: [0] },
    });
    expect(splitCgroup('redis')).toEqual({ program: 'redis', group: null });
    expect(splitCgroup('redis@').group).toBeUndefined();
    expect(splitCgroup('redis@a:b').group).toBeUndefined();
  });
});
