import { describe, expect, it } from 'vitest';
import { NODE_CAPABILITIES } from '../hw/index.ts';
import {
  accessPage,
  checkInvariants,
  exitTask,
  isolateFolio,
  loadWord,
  madviseCollapse,
  PG_LOCKED,
  putbackMovablePages,
  splitMappedFolio,
} from '../mm/index.ts';
import {
  E2BIG,
  EACCES,
  EAGAIN,
  EBUSY,
  EINVAL,
  ENODEV,
  ENOENT,
  ENOMEM,
  EPERM,
  ESTALE,
} from '../uapi/errno.ts';
import { MADV_PAGEOUT, MAP_SHARED, PROT_READ } from '../uapi/mman.ts';
import { madvise, mmap, munmap, setMempolicy } from './index.ts';
import {
  MPE_ALLOW_TAIL,
  MPE_EXACT_HEAD,
  MPF_DRYRUN,
  MPF_NO_WAIT,
  MPF_UNMAPPED_CACHE,
} from './movePhysPages2.ts';
import { type Entry, PhysicalProgram } from './physicalProgram.ts';
import { mask, threeNodes, wordOf } from './testProgram.ts';

const MOVE = 2;
const MOVE_ALL = 4;

describe('move_phys_pages2: the call', () => {
  it('PP-66, PP-80, PP-81: flags, rights, limits, in this order', () => {
    const p = new PhysicalProgram();
    const plain = p.k.spawn(null, 0);
    plain.caps = 0;
    expect(p.ext([p.sample(0)], 64, {}, plain).ret).toBe(-EINVAL);
    expect(p.ext([p.sample(0)], MOVE, {}, plain).ret).toBe(-EPERM);
    const many = Array.from({ length: (1 << 20) + 1 }, () => ({ address: 0 }));
    expect(p.ext(many).ret).toBe(-E2BIG);
    expect(p.ext([])).toEqual({ ret: 0, status: [] });
  });

  it('PP-67, PP-90: a sample that is still true moves its page, with its content', () => {
    const p = new PhysicalProgram();
    expect(p.ext([p.sample(0), p.sample(1)])).toEqual({ ret: 0, status: [1, 1] });
    expect(p.where().slice(0, 3)).toBe('110');
    expect(loadWord(p.k, p.task, p.vpn(0))).toBe(wordOf(0));
    expect(p.counts).toMatchObject({ queued: 2, ok: 2, stale: 0 });
    checkInvariants(p.k);
  });

  it('PP-66: what is wrong with one entry is its own status', () => {
    const p = new PhysicalProgram();
    const entries = [{ ...p.sample(0), node: 9 }, { ...p.sample(0), flags: 8 }, p.sample(0)];
    expect(p.ext(entries)).toEqual({ ret: 2, status: [-ENODEV, -EINVAL, 1] });
  });

  it('S-PP-21 PP-71: without a generation as posted, unless one is required', () => {
    const p = new PhysicalProgram();
    const entry = { address: p.physical(0) };
    expect(p.ext([entry], MOVE, { isCookieRequired: true }).status).toEqual([-EINVAL]);
    expect(p.ext([entry]).status).toEqual([1]);
  });

  it('PP-70: samples that are too old', () => {
    const p = new PhysicalProgram();
    expect(p.ext([p.sample(0)], MOVE, { ageNs: 2e6, maxAgeNs: 1e6 }).status).toEqual([-ESTALE]);
  });

  it('PP-79: a dry run judges and moves nothing', () => {
    const p = new PhysicalProgram();
    p.k.folios.pin(p.frame(1), 1);
    const entries = [p.sample(0), p.sample(1), { address: 0 }];
    expect(p.ext(entries, MOVE | MPF_DRYRUN).status).toEqual([1, 1, -ENOENT]);
    expect(p.where().slice(0, 2)).toBe('00');
  });
});

describe('move_phys_pages2: the frame holds something else by now (PP-45)', () => {
  it('S-PP-15 PP-68, PP-91: freed and used by another process', () => {
    const p = new PhysicalProgram();
    const old = p.sample(0);
    exitTask(p.k, p.task);
    p.k.lru.drainAll();
    const other = new PhysicalProgram(p.k);
    // The allocator hands the freed frames out again, the last one first.
    const reused = Array.from({ length: 16 }, (_, page) => other.physical(page));
    expect(reused).toContain(old.address);
    expect(p.ext([old])).toEqual({ ret: 1, status: [-ESTALE] });
    expect(other.where()).toBe('0'.repeat(16));
  });

  it('S-PP-15: free, nobody took it yet', () => {
    const p = new PhysicalProgram();
    const old = p.sample(0);
    munmap(p.k, p.task, p.area, 4096);
    p.k.lru.drainAll();
    expect(p.ext([old]).status).toEqual([-ESTALE]);
  });

  it('S-PP-16 PP-92: migrated meanwhile', () => {
    const p = new PhysicalProgram();
    const old = p.sample(0);
    p.move([0], [2]);
    expect(p.ext([old]).status).toEqual([-ESTALE]);
    expect(p.where()[0]).toBe('2');
  });

  it('S-PP-26 PP-99: swapped out and in again, to another frame', () => {
    const p = new PhysicalProgram();
    const old = p.sample(0);
    madvise(p.k, p.task, p.area, 4096, MADV_PAGEOUT);
    expect(p.ext([old]).status).toEqual([-ESTALE]);
    loadWord(p.k, p.task, p.vpn(0));
    expect(p.ext([old]).status).toEqual([-ESTALE]);
    expect(p.ext([p.sample(0)]).status).toEqual([1]);
  });

  it('S-PP-23 PP-67: between the first look and the reference', () => {
    const p = new PhysicalProgram();
    const meanwhile = () => {
      munmap(p.k, p.task, p.area, 4096);
      p.k.lru.drainAll();
    };
    expect(p.ext([p.sample(0)], MOVE, { meanwhile }).status).toEqual([-ESTALE]);
    expect(p.counts.stale).toBe(1);
    checkInvariants(p.k);
  });

  it('S-PP-22 PP-95: not online: no generation to be wrong', () => {
    const p = new PhysicalProgram();
    expect(p.ext([{ address: 2 ** 45, gen: 7 }]).status).toEqual([-ENOENT]);
  });

  it('PP-97: collapsed into a huge page: the old frames are free', () => {
    const p = new PhysicalProgram();
    const address = p.map(1024);
    const first = Math.ceil(address / 4096 / 512) * 512;
    for (let page = first; page < first + 512; page++) accessPage(p.k, p.task, page, true);
    p.k.lru.drainAll();
    const [head, tail] = [0, 300].map((n) => p.sample(first - p.area / 4096 + n));
    expect(madviseCollapse(p.k, p.task, first, first + 512)).toBe(0);
    expect(p.ext([head!, tail!]).status).toEqual([-ESTALE, -ESTALE]);
    checkInvariants(p.k);
  });

  it('PP-69: what is isolated keeps its generation, even when everybody lets go of it', () => {
    const p = new PhysicalProgram();
    p.k.lru.drainAll();
    const { generation } = p.k.frames;
    const [frame, list] = [p.frame(0), [] as number[]];
    const before = generation[frame];
    isolateFolio(p.k, frame, list);
    exitTask(p.k, p.task);
    expect([list, generation[frame]]).toEqual([[frame], before]);
    putbackMovablePages(p.k, list);
    p.k.lru.drainAll();
    expect(generation[frame]).toBe(before! + 1);
    checkInvariants(p.k);
  });

  it('PP-93: generations only grow, and skip 0 when they wrap', () => {
    const { frames } = new PhysicalProgram().k;
    frames.generation[7] = 2 ** 32 - 2;
    const seen = [1, 2, 3].map(() => {
      frames.bumpGeneration(7);
      return frames.generation[7];
    });
    expect(seen).toEqual([2 ** 32 - 1, 1, 2]);
  });

  it('PP-62, PP-64: writes, forks and copies on write are no new content', () => {
    const p = new PhysicalProgram();
    const old = p.sample(0);
    p.write(0, 1);
    const child = p.child();
    p.write(0, 1, child);
    expect(p.ext([old]).status).toEqual([1]);
  });
});

describe('move_phys_pages2: sharing and shape', () => {
  it('S-PP-17 PP-98: forked since: not stale, shared', () => {
    const p = new PhysicalProgram();
    const old = p.sample(0);
    p.child();
    expect(p.ext([old]).status).toEqual([-EACCES]);
    expect(p.ext([old], MOVE_ALL).status).toEqual([1]);
  });

  it('S-PP-18, S-PP-19 PP-63, PP-96: split since: stale if the order was meant', () => {
    const p = new PhysicalProgram();
    const first = p.hugePage();
    p.write(first, first + 2);
    p.k.lru.drainAll();
    const old = { ...p.sample(first), order: 9 };
    expect(splitMappedFolio(p.k, p.frame(first))).toBe(0);
    expect(p.ext([{ ...old, flags: MPE_EXACT_HEAD }]).status).toEqual([-ESTALE]);
    expect(p.ext([old]).status).toEqual([1]);
    expect([p.frame(first), p.frame(first + 1)].map((frame) => p.k.pm.nidOf(frame))).toEqual([
      1, 0,
    ]);
  });

  it('PP-67, PP-90: a tail whose folio is split under the call is not its head any more', () => {
    const p = new PhysicalProgram();
    const first = p.hugePage();
    p.write(first, first + 512);
    p.k.lru.drainAll();
    const head = p.frame(first);
    const gen = p.k.frames.generation[head];
    const tail = { address: p.physical(first + 5), flags: MPE_ALLOW_TAIL };
    p.k.frames.generation[p.frame(first + 5)] = gen + 7;
    const meanwhile = () => {
      if (p.k.folios.nrPages(head) > 1) splitMappedFolio(p.k, head);
    };
    expect(p.ext([{ ...tail, gen }], MOVE, { meanwhile }).status).toEqual([-ESTALE]);
    expect(p.k.pm.nidOf(p.frame(first))).toBe(0);
    // Without a generation it is the folio that the address is in now (PP-71).
    expect(p.ext([tail], MOVE, { meanwhile }).status).toEqual([1]);
    expect([0, 5, 6].map((n) => p.k.pm.nidOf(p.frame(first + n)))).toEqual([0, 1, 0]);
    checkInvariants(p.k);
  });

  it('S-PP-20 PP-66, PP-76: 512 samples of one huge page are one migration', () => {
    const p = new PhysicalProgram();
    const first = p.hugePage();
    const gen = p.k.frames.generation[p.frame(first)];
    const entries = Array.from({ length: 512 }, (_, n): Entry => {
      return { address: p.physical(first + n), gen, flags: MPE_ALLOW_TAIL };
    });
    expect(p.ext([{ ...entries[5]!, flags: 0, gen: 0 }]).status).toEqual([-ENOENT]);
    const before = p.k.vmstat.snapshot().get('thp_migration_success')!;
    const { ret, status } = p.ext(entries);
    expect({ ret, status: new Set(status) }).toEqual({ ret: 0, status: new Set([1]) });
    expect(p.k.vmstat.snapshot().get('thp_migration_success')! - before).toBe(1);
    expect(p.counts).toMatchObject({ queued: 1, dedup: 511 });
  });

  it('S-PP-05 PP-78: page cache that nobody maps, if asked for', () => {
    const p = new PhysicalProgram();
    const file = p.k.newFile('/tmp/f', 'tmpfs', 1);
    const address = mmap(p.k, p.task, 0, 4096, PROT_READ, MAP_SHARED, file, 0);
    accessPage(p.k, p.task, address / 4096, false);
    const sample = p.sample((address - p.area) / 4096);
    munmap(p.k, p.task, address, 4096);
    expect(p.ext([sample]).status).toEqual([-ENOENT]);
    expect(p.ext([sample], MOVE | MPF_UNMAPPED_CACHE).status).toEqual([1]);
    checkInvariants(p.k);
  });
});

describe('move_phys_pages2: rights', () => {
  it('PP-78: page cache that nobody maps is for CAP_SYS_ADMIN, whatever else is not', () => {
    const p = new PhysicalProgram();
    const plain = p.k.spawn(null, 0);
    plain.caps = 0;
    const call = (flags: number) => p.ext([p.sample(0)], flags, { permission: 'none' }, plain).ret;
    expect(call(MOVE | MPF_UNMAPPED_CACHE)).toBe(-EPERM);
    expect(call(MOVE)).toBe(0);
  });
});

describe('nodes that let nothing in or out', () => {
  const allBut = (closed: string) => {
    const all = threeNodes().spec.nodes[2]!.capabilities ?? NODE_CAPABILITIES;
    return new PhysicalProgram(
      threeNodes(
        undefined,
        0,
        all.filter((one) => one !== closed),
      ),
    );
  };

  it('PP-7: a node that takes no migrations is none, by whichever address', () => {
    const p = allBut('migrate_in');
    expect(p.rfc([p.physical(0)], [2]).ret).toBe(-ENODEV);
    expect(p.ext([{ ...p.sample(0), node: 2 }]).status).toEqual([-ENODEV]);
    expect(p.ext([{ ...p.sample(0), node: 1 }]).status).toEqual([1]);
  });

  it('PP-18: a page of a node that lets none go stays, by whichever address', () => {
    const p = allBut('migrate_out');
    setMempolicy(p.k, p.task, 2, mask(2));
    const page = (p.map(1) - p.area) / 4096;
    p.write(page, page + 1);
    p.k.lru.drainAll();
    expect(p.k.pm.nidOf(p.frame(page))).toBe(2);
    expect(p.rfc([p.physical(page)], [1]).status).toEqual([-EBUSY]);
    expect(p.ext([p.sample(page)], MOVE | MPF_DRYRUN).status).toEqual([-EBUSY]);
    expect(p.ext([p.sample(page)]).status).toEqual([-EBUSY]);
    expect(p.k.pm.nidOf(p.frame(page))).toBe(2);
    expect(p.ext([{ ...p.sample(page), node: 2 }]).status).toEqual([2]);
    checkInvariants(p.k);
  });
});

describe('move_phys_pages2: the engine gives up', () => {
  it('S-PP-25 PP-75: a pinned page has a status of its own', () => {
    const p = new PhysicalProgram();
    p.k.folios.pin(p.frame(1), 1);
    const entries = [0, 1, 2].map((page) => p.sample(page));
    expect(p.ext(entries)).toEqual({ ret: 1, status: [1, -EAGAIN, 1] });
    expect(p.where().slice(0, 3)).toBe('101');
    checkInvariants(p.k);
  });

  it('PP-75: no room', () => {
    const p = new PhysicalProgram(threeNodes('7.3', 0));
    const filler = p.k.spawn(null, 0);
    setMempolicy(p.k, filler, 2, mask(1));
    const address = mmap(p.k, filler, 0, 40000 * 4096, 3, 0x22, null, 0);
    let page = 0;
    while ((accessPage(p.k, filler, address / 4096 + page, true) & 8) === 0) page++;
    expect(p.ext([p.sample(0), { ...p.sample(1), node: 2 }])).toEqual({
      ret: 1,
      status: [-ENOMEM, 2],
    });
  });

  it('PP-67 (7), PP-94: locked, and not to be waited for', () => {
    const p = new PhysicalProgram();
    p.k.lru.drainAll();
    p.k.frames.set(p.frame(0), PG_LOCKED);
    expect(p.ext([p.sample(0)], MOVE | MPF_NO_WAIT).status).toEqual([-EBUSY]);
    expect(p.counts.ebusy).toBe(1);
  });
});
