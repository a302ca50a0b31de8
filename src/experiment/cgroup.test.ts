import { describe, expect, it } from 'vitest';
import { parseCgroup, splitCgroup } from './cgroup.ts';

describe('control groups of programs', () => {
  it('are names, with nodes behind them', () => {
    expect(parseCgroup('web')).toEqual({ name: 'web', mems: [] });
    expect(parseCgroup('batch.slice:mems=1')).toEqual({ name: 'batch.slice', mems: [1] });
    expect(parseCgroup('a:mems=2,0-1')).toEqual({ name: 'a', mems: [0, 1, 2] });
  });

  it.each([
    ['', 'nothing is no name'],
    ['.', '. is no name'],
    ['..', '.. is no name'],
    ['a/b', 'a/b is no name'],
    ['a:', 'nothing is no setting'],
    ['a:cpus=1', 'cpus=1 is no setting'],
    ['a:mems=1:x', 'mems=1:x is no setting'],
    ['a:mems=', 'mems= names no node'],
    ['a:mems=x', 'mems=x is no list of nodes from 0 to 30'],
    ['a:mems=2-1', 'mems=2-1 is no list of nodes from 0 to 30'],
    ['a:mems=32', 'mems=32 is no list of nodes from 0 to 30'],
    ['a:mems=0-31', 'mems=0-31 is no list of nodes from 0 to 30'],
    ['a:mems=64', 'mems=64 is no list of nodes from 0 to 30'],
  ])('%j is none: %s', (text, problem) => {
    expect(parseCgroup(text)).toBe(problem);
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
    expect(splitCgroup('redis@').group).toBe('nothing is no name');
    expect(splitCgroup('redis@a:b').group).toBe('b is no setting');
  });
});
