/** Memory failure and soft offline as cases: what a program sees of them (MC-82a, MC-82b). */
import { describe, expect, it } from 'vitest';
import { fails, mmap, OK, passes, pin, run, type Step, small, where, write } from './smallCases.ts';

describe('memory failure (MC-82a)', () => {
  const poison: Step = { do: 'madvise', region: 'A', from: 0, n: 1, advice: 'HWPOISON' };

  it('ends a process without a handler', () => {
    passes([mmap(1), small(1), write(1), poison], { expect: { killed_by: 'SIGBUS' } });
    expect(run([mmap(1), small(1), write(1)], { expect: { killed_by: 'SIGBUS' } }).status).toBe(
      'failed',
    );
  });

  it('raises the signal again at each access', () => {
    passes([
      { do: 'sigaction', signal: 'SIGBUS', handler: 'count' },
      mmap(2),
      small(2),
      write(2),
      { ...poison, expect: OK },
      { do: 'touch', mode: 'read', region: 'A', from: 0, n: 2 },
      { look: 'signals', signal: 'SIGBUS', expect: { n: 2 } },
      { look: 'sysfs', file: '/proc/meminfo', expect: { value: '' }, approx: ['value'] },
    ]);
  });

  it('of a hugetlb page takes all of it; the pool gives up one page', () => {
    const pool = '/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages';
    passes([
      { do: 'sigaction', signal: 'SIGBUS', handler: 'count' },
      { do: 'sysfs.write', file: pool, value: '2', expect: OK },
      mmap(512, { flags: ['PRIVATE', 'ANONYMOUS', 'HUGETLB'] }),
      write(1),
      { ...poison, expect: OK },
      where([['hwpoison-entry', 512]], 512),
      { look: 'signals', signal: 'SIGBUS', expect: { n: 1 } },
      write(1),
      { look: 'signals', signal: 'SIGBUS', expect: { n: 2 } },
      { look: 'sysfs', file: pool, expect: { value: '1' } },
      { do: 'fork', as: 'c' },
      { do: 'munmap', region: 'A', from: 0, n: 512, expect: OK },
    ]);
  });

  it('soft offline of a hugetlb page moves it (MC-82b)', () => {
    const node = '/sys/devices/system/node/node0/hugepages/hugepages-2048kB';
    passes([
      { do: 'sysfs.write', file: `${node}/nr_hugepages`, value: '1', expect: OK },
      mmap(512, { flags: ['PRIVATE', 'ANONYMOUS', 'HUGETLB'] }),
      write(512),
      { look: 'frame.keep', as: 'f', region: 'A', from: 0, n: 1 },
      { ...poison, advice: 'SOFT_OFFLINE', expect: OK },
      { look: 'frame.same', as: 'f', region: 'A', from: 0, n: 1, expect: { same: [[false, 1]] } },
      { look: 'data', region: 'A', expect: { data: 'intact' } },
      { look: 'sysfs', file: `${node}/nr_hugepages`, expect: { value: '1' } },
    ]);
  });

  it('needs CAP_SYS_ADMIN, and is seen by pins as -EFAULT', () => {
    passes([
      { do: 'sigaction', signal: 'SIGBUS', handler: 'count' },
      mmap(1),
      small(1),
      write(1),
      { ...poison, expect: OK },
      pin('u', 1, { expect: fails('EFAULT') }),
      { do: 'dropcap', cap: 'CAP_SYS_ADMIN' },
      { ...poison, expect: fails('EPERM') },
    ]);
  });
});
