/**
 * Control groups in the case format: what the files of a cpuset take and show, and who may enter.
 */
import { describe, it } from 'vitest';
import { fails, mmap, OK, passes, type Step, small, where, write } from './smallCases.ts';

describe('control groups', () => {
  it('are made once, read back, and refuse CPUs that are not there', () => {
    const at = (path: string, value: string): Step => ({
      look: 'cgroup',
      cgroup: 'g',
      file: path,
      expect: { value },
    });
    const set = (path: string, value: string, answer: Step): Step => ({
      do: 'cgroup.write',
      cgroup: 'g',
      file: path,
      value,
      expect: answer,
    });
    passes([
      { do: 'cgroup.create', cgroup: 'g', expect: OK },
      { do: 'cgroup.create', cgroup: 'g', expect: fails('EEXIST') },
      set('cpuset.cpus', '0', OK),
      // cpulist_parse: nr_cpu_ids is what it may hold.
      set('cpuset.cpus', '99', fails('ERANGE')),
      set('cpuset.cpus', '1-0', fails('EINVAL')),
      at('cpuset.cpus', '0'),
      at('cpuset.mems', ''),
      at('cpuset.mems.effective', '0-3'),
      set('cpuset.mems', '1', OK),
      at('cpuset.mems.effective', '1'),
    ]);
  });

  it('MP-106: cpuset.mems takes the lists of nodelist_parse', () => {
    const set = (value: string, expect: Step): Step => ({
      do: 'cgroup.write',
      cgroup: 'g',
      file: 'cpuset.mems',
      value,
      expect,
    });
    const mems = (value: string): Step => ({
      look: 'cgroup',
      cgroup: 'g',
      file: 'cpuset.mems',
      expect: { value },
    });
    passes([
      { do: 'cgroup.write', cgroup: '/', file: 'cpuset.mems', value: '0', expect: fails('ENOENT') },
      { do: 'cgroup.create', cgroup: 'g', expect: OK },
      set('1 3', OK),
      mems('1,3'),
      set('0-3:1/2', OK),
      mems('0,2'),
      set('2-1', fails('EINVAL')),
      set('x', fails('EINVAL')),
      // Node numbers of a 32-bit mask, but of no machine; then more than MAX_NUMNODES.
      set('31', fails('EINVAL')),
      set('32', fails('EINVAL')),
      set('0,33', fails('EINVAL')),
      set('1024', fails('ERANGE')),
      set('4294967296', fails('EOVERFLOW')),
      mems('0,2'),
    ]);
  });

  it('v1: a cpuset needs CPUs and nodes, of its parent, before a process goes in', () => {
    const set = (cgroup: string, file: string, value: string, expect: Step): Step => ({
      do: 'cgroup.write',
      cgroup,
      file: `cpuset.${file}`,
      value,
      expect,
    });
    const enter = (expect: Step): Step => ({ do: 'cgroup.enter', cgroup: 'g', expect });
    const migrates: Step = { look: 'cgroup', cgroup: 'g', file: 'cpuset.memory_migrate' };
    const steps: Step[] = [
      { do: 'cgroup.create', cgroup: 'g', expect: OK },
      set('g', 'mems', '0', OK),
      enter(fails('ENOSPC')),
      set('g', 'cpus', '0', OK),
      enter(OK),
      set('g', 'cpus', '\n', fails('ENOSPC')),
      { do: 'cgroup.create', cgroup: 'g/h', expect: OK },
      set('g/h', 'cpus', '1', fails('EACCES')),
      set('g/h', 'cpus', '0', OK),
      set('g', 'cpus', '1', fails('EBUSY')),
      set('g', 'memory_migrate', 'on', fails('EINVAL')),
      set('g', 'memory_migrate', '2', OK),
      { ...migrates, expect: { value: '1' } },
      set('/', 'mems', '0', fails('EACCES')),
      set('/', 'cpus', '0', fails('EACCES')),
    ];
    passes(steps, { machine: 'four-nodes-cgroup1' });
  });

  it('MP-106: lie in one another; nodes that the one above lacks do not count', () => {
    const mems = (cgroup: string, value: string): Step => ({
      do: 'cgroup.write',
      cgroup,
      file: 'cpuset.mems',
      value,
      expect: OK,
    });
    const effective = (value: string): Step => ({
      look: 'cgroup',
      cgroup: 'a/b',
      file: 'cpuset.mems.effective',
      expect: { value },
    });
    passes([
      { do: 'cgroup.create', cgroup: 'a/b', expect: fails('ENOENT') },
      { do: 'cgroup.create', cgroup: 'a', expect: OK },
      mems('a', '0-1'),
      { do: 'cgroup.create', cgroup: 'a/b', expect: OK },
      mems('a/b', '1-2'),
      effective('1'),
      { do: 'cgroup.enter', cgroup: 'a/b', expect: OK },
      mmap(4),
      small(4),
      write(4),
      where([['n1/Normal+anon', 4]], 4),
      mems('a', '3'),
      effective('3'),
      where([['n3/Movable+anon', 4]], 4),
    ]);
  });
});
