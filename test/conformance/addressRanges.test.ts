/** Small cases: what calls on ranges of addresses answer at holes, files and special areas. */
import { describe, it } from 'vitest';
import { fails, mmap, OK, passes, type Step } from './smallCases.ts';

const SHARED = { flags: ['SHARED', 'ANONYMOUS'] };
const range = (from: number, n: number): Step => ({ region: 'A', from, n });
const madvise = (advice: string, from: number, n: number, expect: Step): Step => ({
  do: 'madvise',
  ...range(from, n),
  advice,
  expect,
});
const write = (from: number, n: number): Step => ({
  do: 'touch',
  mode: 'write',
  ...range(from, n),
});
const where = (...runs: [string, number][]): Step => ({
  look: 'where',
  ...range(
    0,
    runs.reduce((sum, run) => sum + run[1], 0),
  ),
  expect: { pages: runs },
});
const devmem = (pages: number): Step[] => [
  { do: 'file.open', file: '/dev/mem', flags: ['RDONLY'] },
  mmap(pages, { prot: ['READ'], flags: ['SHARED'], file: '/dev/mem', offset: 983040 }),
];
const countSignal = (signal: string): Step => ({ do: 'sigaction', signal, handler: 'count' });
const signals = (signal: string, n: number): Step => ({ look: 'signals', signal, expect: { n } });

describe('mlock (mm/mlock.c)', () => {
  const mlock = (expect: Step): Step => ({ do: 'mlock', ...range(0, 4), expect });

  it('of PROT_NONE is -ENOMEM with the area locked (__mlock_posix_error_return)', () => {
    const none = mmap(4, { prot: ['NONE'] });
    const open: Step = { do: 'mprotect', ...range(0, 4), prot: ['READ', 'WRITE'], expect: OK };
    const touched = where(['n0/Movable+anon+unevictable+mlocked', 4]);
    passes([none, mlock(fails('ENOMEM')), where(['none', 4]), open, write(0, 4), touched]);
  });

  it('behind the end of a file is -ENOMEM: GUP says -EFAULT', () => {
    const file: Step = { do: 'file.create', file: '/ext4/a', pages: 2 };
    passes([file, mmap(4, { flags: ['SHARED'], file: '/ext4/a' }), mlock(fails('ENOMEM'))]);
  });

  it('of secret memory is -ENOMEM, of raw memory nothing is locked', () => {
    const secret: Step = { do: 'memfd_secret', file: 'secret' };
    const size: Step = { do: 'file.truncate', file: 'secret', bytes: 16384, expect: OK };
    const unlock: Step = { do: 'munlock', ...range(0, 4), expect: OK };
    const area = mmap(4, { flags: ['SHARED'], file: 'secret' });
    passes([secret, size, area, mlock(fails('ENOMEM')), unlock]);
    const locked: Step = { look: 'smaps', region: 'A', field: 'Locked', expect: { kb: 0 } };
    passes([...devmem(4), mlock(OK), locked]);
  });
});

describe('madvise', () => {
  it('REMOVE punches a hole into shared memory for all who map it (madvise_remove)', () => {
    const fork: Step = { do: 'fork', as: 'child' };
    const read: Step = { do: 'touch', mode: 'read', ...range(0, 4), by: 'child' };
    const childHas = { ...where(['none', 2], ['n0/Movable+file', 2]), by: 'child' };
    const zero: Step = { look: 'read', region: 'A', page: 1, expect: { byte: 0 } };
    const steps = [mmap(4, SHARED), write(0, 4), fork, read, madvise('REMOVE', 0, 2, OK)];
    passes([...steps, where(['none', 2], ['n0/Movable+file', 2]), childHas, zero]);
  });

  const small = 'n0/Movable+file';
  const large = 'n0/Movable+file+thp';

  it('REMOVE of a part of a huge page of tmpfs splits it (truncate_inode_partial_folio)', () => {
    const file: Step[] = [
      { do: 'mount', type: 'tmpfs', at: '/huge', options: 'huge=always' },
      { do: 'file.open', file: '/huge/f', flags: ['RDWR', 'CREAT'] },
      { do: 'file.truncate', file: '/huge/f', bytes: 2097152 },
    ];
    passes([
      ...file,
      mmap(512, { flags: ['SHARED'], file: '/huge/f' }),
      write(0, 1),
      madvise('REMOVE', 0, 256, OK),
      where(['none', 512]), // a huge leaf of a file is not split but taken out
      { do: 'touch', mode: 'read', ...range(255, 2) },
      {
        look: 'where',
        ...range(255, 2),
        expect: {
          pages: [
            [small, 1],
            [large, 1],
          ],
        },
      },
    ]);
  });

  it('REMOVE wants a shared mapping of a file that is not locked', () => {
    const file: Step = { do: 'file.create', file: '/ext4/a', pages: 4 };
    passes([mmap(4), madvise('REMOVE', 0, 4, fails('EINVAL'))]);
    const privately = mmap(4, { flags: ['PRIVATE'], file: '/ext4/a' });
    passes([file, privately, madvise('REMOVE', 0, 4, fails('EACCES'))]);
    const ramfs: Step = { do: 'file.create', file: '/ramfs/a', pages: 4 };
    const area = mmap(4, { flags: ['SHARED'], file: '/ramfs/a' });
    passes([ramfs, area, madvise('REMOVE', 0, 4, fails('EOPNOTSUPP'))]);
    const mlock: Step = { do: 'mlock', ...range(0, 4), expect: OK };
    passes([mmap(4, SHARED), mlock, madvise('REMOVE', 0, 4, fails('EINVAL'))]);
  });

  it('raw memory is neither copied to children nor dumped (VM_IO, VM_SPECIAL)', () => {
    const dofork = madvise('DOFORK', 0, 4, fails('EINVAL'));
    passes([...devmem(4), dofork, madvise('DODUMP', 0, 4, fails('EINVAL'))]);
  });

  it('POPULATE tells protection (-EINVAL) from what cannot be had (-EFAULT)', () => {
    const file: Step = { do: 'file.create', file: '/ext4/a', pages: 2 };
    const area = mmap(4, { flags: ['SHARED'], file: '/ext4/a' });
    passes([file, area, madvise('POPULATE_READ', 0, 4, fails('EFAULT'))]);
    passes([...devmem(4), madvise('POPULATE_READ', 0, 4, fails('EINVAL'))]);
  });

  it('COLLAPSE wants an area with 2 MiB in it; holes count after the rest is done', () => {
    passes([mmap(16), write(0, 16), madvise('COLLAPSE', 0, 16, fails('EINVAL'))]);
    const collapse = madvise('COLLAPSE', 0, 1536, fails('ENOMEM'));
    const hole: Step = { do: 'munmap', ...range(512, 512), expect: OK };
    const huge: [string, number] = ['n0/Movable+anon+thp', 512];
    const all = where(huge, ['none', 512], huge);
    passes([mmap(1536), write(0, 1536), hole, collapse, all]);
  });

  it('PAGEOUT and COLD pass a pinned huge page of which a part is gone by piece', () => {
    const steps: Step[] = [
      mmap(512),
      madvise('HUGEPAGE', 0, 512, OK),
      write(0, 512),
      { do: 'pin', via: 'gup_test', handle: 'g', ...range(5, 1), access: 'read', expect: OK },
      madvise('DONTNEED', 100, 1, OK),
      madvise('COLD', 0, 512, OK),
    ];
    passes(steps, { expect: { vmstat: { thp_split_page_failed: 2 } } });
  });
});

describe('hugetlb', () => {
  const pool = '/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages';
  const hugetlb = (...flags: string[]): Step =>
    mmap(512, { flags: ['PRIVATE', 'ANONYMOUS', 'HUGETLB', ...flags] });

  it('MAP_NORESERVE promises nothing: SIGBUS when the pool is empty', () => {
    const touch = [countSignal('SIGBUS'), write(0, 1), signals('SIGBUS', 1)];
    passes([hugetlb('NORESERVE'), madvise('HUGEPAGE', 0, 512, OK), ...touch]);
    passes([{ ...hugetlb(), expect: fails('ENOMEM') }]);
  });

  it('MAP_NORESERVE takes what is free', () => {
    const resv = '/sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages';
    const none: Step = { look: 'sysfs', file: resv, expect: { value: '0' } };
    const drop = madvise('DONTNEED', 0, 512, OK);
    const steps: Step[] = [
      { do: 'sysfs.write', file: pool, value: '1' },
      hugetlb('NORESERVE'),
      none,
    ];
    passes([...steps, write(0, 1), where(['n0/Movable+hugetlb', 512]), drop, none]);
  });
});

describe('huge pages that a pin makes exclusive (PM-8: do_huge_pmd_wp_page)', () => {
  const huge = [mmap(512), madvise('HUGEPAGE', 0, 512, OK)];
  const pin: Step = {
    do: 'pin',
    via: 'gup_test',
    handle: 'g',
    ...range(3, 1),
    access: 'read',
    expect: OK,
  };

  it('the huge zero page becomes a huge page, before 6.13 one small page', () => {
    passes([...huge, pin, where(['n0/Normal+anon+thp', 512])]);
    const small = where(['zeropage', 3], ['n0/Normal+anon', 1], ['zeropage', 508]);
    passes([...huge, pin, small], { kernel: '6.12' });
  });

  it('a huge page whose sharer is gone stays mapped by its PMD', () => {
    const steps: Step[] = [
      { do: 'mbind', ...range(0, 512), mode: 'BIND', nodes: [1], flags: [], expect: OK },
      write(0, 1),
      { do: 'fork', as: 'child' },
      { do: 'exit', by: 'child' },
      { do: 'wait', for: 'child' },
      pin,
      { look: 'smaps', region: 'A', field: 'AnonHugePages', expect: { kb: 2048 } },
    ];
    passes([...huge, ...steps], { expect: { vmstat: { thp_split_pmd: 0 } } });
  });

  it('the huge zero page is no reserved memory (fs/proc/page.c)', () => {
    const flags = ['COMPOUND_TAIL', 'THP', 'ZERO_PAGE'];
    const look: Step = { look: 'kpage', region: 'A', page: 3, expect: { mapcount: 0, flags } };
    passes([...huge, { do: 'touch', mode: 'read', ...range(0, 1) }, look]);
  });
});

describe('mremap', () => {
  const remap = (expect: Step): Step => ({
    do: 'mremap',
    region: 'A',
    pages: 4,
    flags: ['MAYMOVE', 'FIXED'],
    to: '0x700200000000',
    expect,
  });
  const hole: Step = { do: 'munmap', ...range(1, 1), expect: OK };

  it('moves the areas of a range with the holes between them (6.17: remap_move)', () => {
    const page = 'n0/Movable+anon';
    passes([mmap(4), write(0, 4), hole, remap(OK), where([page, 1], ['none', 1], [page, 2])]);
  });

  it('a hole at the beginning, or any before 6.17, is -EFAULT', () => {
    passes([mmap(4), { ...hole, from: 0 }, remap(fails('EFAULT'))]);
    passes([mmap(4), hole, remap(fails('EFAULT'))], { kernel: '6.12' });
  });
});

describe('a file that was opened for reading', () => {
  const create: Step = { do: 'file.create', file: '/ext4/a', pages: 4 };
  const open = (mode: string): Step => ({ do: 'file.open', file: '/ext4/a', flags: [mode] });
  const area = (more: Step): Step => mmap(4, { flags: ['SHARED'], file: '/ext4/a', ...more });

  it('is not mapped shared and writable, privately it is (do_mmap: -EACCES)', () => {
    const readOnly = [create, open('RDONLY')];
    passes([...readOnly, area({ expect: fails('EACCES') })]);
    passes([...readOnly, area({ flags: ['PRIVATE'], expect: OK }), write(0, 4)]);
    passes([create, open('WRONLY'), area({ prot: ['READ'], expect: fails('EACCES') })]);
  });

  it('stays read-only: mprotect and MADV_REMOVE are -EACCES, write(2) is -EBADF', () => {
    const grant: Step = { do: 'mprotect', ...range(0, 4), prot: ['READ', 'WRITE'] };
    const store: Step = { do: 'file.write', file: '/ext4/a', out_of: 'A', page: 0, bytes: 1 };
    passes([
      create,
      open('RDONLY'),
      area({ prot: ['READ'], expect: OK }),
      { ...grant, expect: fails('EACCES') },
      madvise('REMOVE', 0, 4, fails('EACCES')),
      { ...store, expect: fails('EBADF') },
      open('RDWR'),
      { ...store, expect: { ret: 1 } },
    ]);
    passes([...devmem(4), { ...grant, expect: fails('EACCES') }]);
  });
});
