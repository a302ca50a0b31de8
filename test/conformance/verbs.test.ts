/**
 * Verbs and inputs of the case format that no observed case uses: small cases whose answers follow
 * from the rules. Each cites the rule; `docs/model/rules` has them.
 */
import { describe, expect, it } from 'vitest';
import { fails, mmap, OK, passes, pin, run, type Step, small, where, write } from './smallCases.ts';

const file = (pages: number): Step => ({
  do: 'file.create',
  file: '/ext4/f',
  pages,
  chunk: 4096,
});
const mapFile = (pages: number): Step => mmap(pages, { flags: ['SHARED'], file: '/ext4/f' });

describe('userfaultfd', () => {
  const register = (mode: string): Step => ({ do: 'uffd.register', region: 'A', mode });

  it('without a reader, a touch of a missing page never ends', () => {
    const steps = [mmap(2), small(2), { ...register('MISSING'), expect: OK }, write(1)];
    passes(steps, { expect: { timeout: true } });
    expect(run(steps).difference).toMatchObject({ step: 3, field: 'time' });
    expect(run(steps.slice(0, 3), { expect: { timeout: true } }).status).toBe('failed');
  });

  it('has no event to read while nobody waits', () => {
    passes([mmap(2), { ...register('WP') }, { look: 'uffd.event', expect: fails('EAGAIN') }]);
  });

  it('refuses files on a disk, takes shared memory', () => {
    passes([file(2), mapFile(2), { ...register('WP'), expect: fails('EINVAL') }]);
    passes([mmap(2, { flags: ['SHARED', 'ANONYMOUS'] }), { ...register('MISSING'), expect: OK }]);
  });

  it('marks of write protection stay along a move; a child is not registered (MC-31)', () => {
    passes([
      mmap(1),
      small(1),
      write(1),
      register('WP'),
      { do: 'uffd.protect', region: 'A', expect: OK },
      {
        do: 'move_pages',
        pid: 'self',
        count: 1,
        pages: [['A', 0, 1]],
        nodes: [[1, 1]],
        flags: ['MOVE'],
        expect: { ret: 0, status: [[1, 1]] },
      },
      where([['n1/Normal+anon+uffdwp', 1]], 1),
      { do: 'fork', as: 'c' },
      { ...where([['n1/Normal+anon', 1]], 1), by: 'c' },
    ]);
  });
});

describe('pins', () => {
  it('one buffer table a ring, nothing to unregister twice', () => {
    passes([
      mmap(2),
      small(2),
      write(2),
      pin('u', 1, { expect: OK }),
      pin('u', 1, { from: 1, expect: fails('EBUSY') }),
      { do: 'unpin', handle: 'u', expect: OK },
      { do: 'unpin', handle: 'u', expect: fails('ENXIO') },
      pin('u', 1, { from: 1, expect: OK }),
    ]);
  });

  it('RLIMIT_MEMLOCK counts the pinned pages of all handles (PM-24a)', () => {
    passes([
      mmap(8),
      small(8),
      write(8),
      { do: 'dropcap', cap: 'CAP_IPC_LOCK' },
      { do: 'setrlimit', resource: 'MEMLOCK', bytes: 16384 },
      pin('u', 3, { expect: OK }),
      pin('v', 2, { from: 4, expect: fails('ENOMEM') }),
      pin('w', 1, { from: 4, expect: OK }),
    ]);
  });

  it('of nothing is -EFAULT for a ring, -EINVAL for gup_test; a ring takes 1 GiB a buffer', () => {
    const gup = { via: 'gup_test', handle: 'g' };
    passes([mmap(262145), pin('u', 0, { expect: fails('EFAULT') })]);
    passes([mmap(262145), pin('u', 262145, { expect: fails('EFAULT') })]);
    passes([mmap(1), pin('u', 0, { ...gup, expect: fails('EINVAL') })]);
  });

  it('a hugetlb page of a movable-only node: no page elsewhere takes its place (PM-20)', () => {
    const pool = '/sys/devices/system/node/node3/hugepages/hugepages-2048kB/nr_hugepages';
    const steps = (ret: Step, place: string): Step[] => [
      { do: 'sysfs.write', file: pool, value: '1', expect: OK },
      mmap(512, { flags: ['PRIVATE', 'ANONYMOUS', 'HUGETLB'] }),
      write(1),
      pin('u', 1, { expect: ret }),
      where([[place, 1]], 1),
    ];
    passes(steps(fails('ENOMEM'), 'n3/Movable+hugetlb'));
    passes(steps(OK, 'n0/Normal+hugetlb'), { kernel: '6.1' });
  });

  it('each on a handle of its own tells how many, and why the first did not', () => {
    const { handle: _handle, ...each } = pin('u', 4, { each: 'own handle', step: 2 });
    passes([
      mmap(8),
      small(8),
      write(8),
      { do: 'munmap', region: 'A', from: 6, n: 2 },
      { ...each, expect: { pinned: 3, errno: 'EFAULT' } },
    ]);
  });
});

describe('files', () => {
  const cached = [['n0/Movable+file', 4]];

  it('fadvise DONTNEED drops what is clean and not mapped', () => {
    passes([
      file(4),
      { do: 'file.fsync', file: '/ext4/f', expect: OK },
      { do: 'file.fadvise', file: '/ext4/f', advice: 'DONTNEED', expect: OK },
      { do: 'set_mempolicy', mode: 'BIND', nodes: [1], expect: OK },
      mapFile(4),
      { do: 'touch', mode: 'read', region: 'A', from: 0, n: 4 },
      where([['n1/Normal+file', 4]], 4),
      { look: 'data', region: 'A', expect: { data: 'intact' } },
      { do: 'file.fadvise', file: '/ext4/f', advice: 'DONTNEED', expect: OK },
      where([['n1/Normal+file', 4]], 4),
    ]);
  });

  it('fadvise leaves dirty pages, and drop_caches only clean ones', () => {
    passes([
      file(4),
      { do: 'sysfs.write', file: '/proc/sys/vm/drop_caches', value: '1', expect: OK },
      { do: 'set_mempolicy', mode: 'BIND', nodes: [1], expect: OK },
      mapFile(4),
      { do: 'touch', mode: 'read', region: 'A', from: 0, n: 4 },
      where(cached, 4),
    ]);
  });

  it('write continues behind what was written', () => {
    passes([
      mmap(2, { region: 'B', at: '0x710000000000' }),
      { do: 'touch', mode: 'write', region: 'B', from: 0, n: 2 },
      file(1),
      {
        do: 'file.write',
        file: '/ext4/f',
        out_of: 'B',
        page: 1,
        bytes: 4096,
        expect: { ret: 4096 },
      },
      mapFile(2),
      { look: 'data', region: 'A', expect: { data: 'intact' } },
    ]);
  });

  it('open without CREAT finds what is there', () => {
    passes([
      { do: 'file.open', file: '/tmp/none', flags: ['RDWR'], expect: fails('ENOENT') },
      { do: 'file.open', file: '/tmp/f', flags: ['RDWR', 'CREAT'] },
      { do: 'file.open', file: '/tmp/f', flags: ['RDWR'] },
      { do: 'file.open', file: '/tmp/f', flags: ['CREAT', 'EXCL'], expect: fails('EEXIST') },
    ]);
  });

  it('secret memory gets its size once', () => {
    passes([
      { do: 'memfd_secret', file: 's' },
      { do: 'file.truncate', file: 's', bytes: 8192, expect: OK },
      { do: 'file.truncate', file: 's', bytes: 4096, expect: fails('EINVAL') },
    ]);
  });
});

describe('what /proc shows of a region', () => {
  it('smaps: one field in kB', () => {
    passes([
      mmap(8),
      small(8),
      write(4),
      { look: 'smaps', region: 'A', expect: { field: 'Size', kb: 32 } },
      { look: 'smaps', region: 'A', expect: { field: 'Rss', kb: 16 } },
      { look: 'smaps', region: 'A', field: 'Anonymous', expect: { field: 'Anonymous', kb: 16 } },
      { do: 'madvise', region: 'A', from: 0, n: 2, advice: 'PAGEOUT', expect: OK },
      { look: 'smaps', region: 'A', expect: { field: 'Swap', kb: 8 } },
    ]);
  });

  it('numa_maps: the words of the line', () => {
    const words = ['bind:1', 'anon=4', 'dirty=4', 'active=0', 'N1=4', 'kernelpagesize_kB=4'];
    passes([
      mmap(8),
      small(8),
      { do: 'mbind', region: 'A', from: 0, n: 8, mode: 'BIND', nodes: [1], flags: [], expect: OK },
      write(4),
      { look: 'numa_maps', region: 'A', expect: { line: words } },
      { look: 'numa_maps', region: 'A', expect: { line: ['700000000000', ...words] } },
    ]);
  });
});

describe('find, frames and counts', () => {
  it('sysfs: /proc/self belongs to the process that looks', () => {
    const statm = (by: string, value: string): Step => {
      return { look: 'sysfs', file: '/proc/self/statm', by, expect: { value } };
    };
    const child = [{ do: 'fork', as: 'c' }, mmap(4, { by: 'c' })];
    passes([...child, statm('main', '29 29 17 0 0 12 0'), statm('c', '33 13 1 0 0 16 0')]);
  });

  it('find makes a region of the first pages with a label', () => {
    passes([
      mmap(8),
      small(8),
      write(4),
      { do: 'madvise', region: 'A', from: 1, n: 2, advice: 'PAGEOUT', expect: OK },
      {
        look: 'find',
        region: 'A',
        contains: 'swap',
        n: 2,
        as: 'S',
        expect: { found: 1, first: 1 },
      },
      where([['swap', 2]], 2, { region: 'S' }),
      {
        look: 'find',
        region: 'A',
        contains: 'thp',
        n: 1,
        as: 'T',
        expect: { found: 0, first: -1 },
      },
    ]);
  });

  it('touch: backwards, in steps, until memory is short', () => {
    passes([
      mmap(8),
      small(8),
      write(4, { from: 7, step: -2 }),
      where(
        [
          ['none', 1],
          ['n0/Movable+anon', 1],
          ['none', 1],
          ['n0/Movable+anon', 1],
          ['none', 1],
          ['n0/Movable+anon', 1],
          ['none', 1],
          ['n0/Movable+anon', 1],
        ],
        8,
      ),
      write(8, {
        until: { node: 2, free_kb_below: 1, every: 1 },
        expect: { touched: 8 },
      }),
      write(8, {
        until: { node: 2, free_kb_below: 99999999, every: 4 },
        expect: { touched: 0 },
      }),
      where([], 0, { n: 'touched' }),
    ]);
  });
});

describe('settings', () => {
  const put = (path: string, value: string, answer: Step = OK): Step => ({
    do: 'sysfs.write',
    file: path,
    value,
    expect: answer,
  });
  const get = (path: string, value: string): Step => ({
    look: 'sysfs',
    file: path,
    expect: { value },
  });

  it('are kept, and refuse what Linux refuses', () => {
    const thp = '/sys/kernel/mm/transparent_hugepage';
    passes([
      put('/proc/sys/vm/min_free_kbytes', '65536'),
      get('/proc/sys/vm/min_free_kbytes', '65536'),
      put('/proc/sys/vm/watermark_scale_factor', '0', fails('EINVAL')),
      put('/proc/sys/vm/watermark_scale_factor', '100'),
      get('/proc/sys/vm/watermark_scale_factor', '100'),
      get('/proc/sys/vm/min_free_kbytes', '65536'),
      put('/proc/sys/vm/overcommit_memory', '3', fails('EINVAL')),
      put('/proc/sys/vm/swappiness', '201', fails('EINVAL')),
      put('/proc/sys/kernel/numa_balancing', '5', fails('EINVAL')),
      put('/proc/sys/vm/drop_caches', '0', fails('EINVAL')),
      put(`${thp}/defrag`, 'sometimes', fails('EINVAL')),
      put(`${thp}/defrag`, 'defer'),
      get(`${thp}/defrag`, 'always [defer] defer+madvise madvise never'),
    ]);
  });

  it('S-TI-17: weighted interleave; 0 is no weight; back to automatic ones (TI-82)', () => {
    const at = '/sys/kernel/mm/mempolicy/weighted_interleave';
    passes([
      get(`${at}/node0`, '6'),
      ...['0', '256', 'many'].map((weight) => put(`${at}/node0`, weight, fails('EINVAL'))),
      get(`${at}/auto`, 'true'),
      put(`${at}/node0`, '9'),
      get(`${at}/auto`, 'false'),
      put(`${at}/auto`, 'true'),
      get(`${at}/node0`, '6'),
      get(`${at}/auto`, 'true'),
    ]);
  });

  it('nr_hugepages_mempolicy takes pages from the writer’s nodes', () => {
    const pool = '/sys/devices/system/node/node';
    passes([
      { do: 'set_mempolicy', mode: 'BIND', nodes: [1], expect: OK },
      put('/proc/sys/vm/nr_hugepages_mempolicy', '4'),
      get(`${pool}1/hugepages/hugepages-2048kB/nr_hugepages`, '4'),
      get(`${pool}0/hugepages/hugepages-2048kB/nr_hugepages`, '0'),
      get('/proc/sys/vm/nr_hugepages', '4'),
    ]);
  });

  it('overcommitted hugetlb pages come and go with their mapping (MP-111)', () => {
    const pool = '/sys/kernel/mm/hugepages/hugepages-2048kB';
    const huge = mmap(512, { flags: ['PRIVATE', 'ANONYMOUS', 'HUGETLB'] });
    passes([
      { ...huge, expect: fails('ENOMEM') },
      put(`${pool}/nr_overcommit_hugepages`, '1'),
      { ...huge, expect: OK },
      get(`${pool}/surplus_hugepages`, '1'),
      get(`${pool}/resv_hugepages`, '1'),
      write(1),
      where([['n0/Movable+hugetlb', 1]], 1),
      { do: 'munmap', region: 'A', from: 0, n: 512, expect: OK },
      get(`${pool}/nr_hugepages`, '0'),
    ]);
  });
});

describe('kernel memory', () => {
  it('of pipes follows the writer’s policy where it can (OV-31e)', () => {
    passes([
      { do: 'pipe.open', repeat: 50, write_bytes: 1, expect: { opened: 50 } },
      { do: 'set_mempolicy', mode: 'BIND', nodes: [3], expect: OK },
      { do: 'pipe.open', pipe: 'p', write_bytes: 1 },
      { do: 'pipe.close', pipe: 'p' },
    ]);
  });
});

describe('race', () => {
  it('lets the writer it names do the stores', () => {
    const shared = mmap(1, { flags: ['SHARED', 'ANONYMOUS'] });
    const race: Step = {
      do: 'race',
      region: 'A',
      page: 0,
      moves: 20,
      nodes: [1, 0],
      flags: ['MOVE_ALL'],
      writer: 'c',
      expect: {
        moves_ok: 20,
        moves_busy: 0,
        other: 0,
        writer_mismatches: 0,
        last_value_matches: 1,
      },
    };
    passes([shared, write(1), { do: 'fork', as: 'c' }, race]);
  });
});

describe('thp.take', () => {
  it('takes other pages each time', () => {
    const take = (max: number) => ({ do: 'thp.take', node: 1, max, expect: { taken: max } });
    passes([take(2), take(3)]);
  });
});

describe('a process that has ended', () => {
  const exited: Step[] = [mmap(1), { do: 'fork', as: 'c' }, { do: 'exit', by: 'c' }];

  it('takes no step', () => {
    const steps = [...exited, { ...where([['none', 1]], 1), by: 'c' }];
    expect(run(steps).error).toMatchObject({ kind: 'input' });
    expect(run(steps).error?.message).toContain('step 3: process c has ended');
  });

  it('has no memory to read (mm/process_vm_access.c: -ESRCH)', () => {
    const read: Step = { do: 'process_vm_readv', pid: 'c', region: 'A', from: 0, n: 1 };
    passes([...exited, { ...read, expect: fails('ESRCH') }]);
    passes([mmap(1), { ...read, pid: 'nonexistent', expect: fails('ESRCH') }]);
  });
});
