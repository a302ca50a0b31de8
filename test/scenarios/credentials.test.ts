/** Who may move whose pages: OV-60, OV-61, MP-2, MP-5, MP-61, MP-63. */
import { describe, expect, it } from 'vitest';
import {
  CAP_ALL,
  CAP_SYS_NICE,
  CAP_SYS_PTRACE,
  forkTask,
  type Kernel,
  ptraceMayRead,
  type Task,
} from '../../src/mm/index.ts';
import { migratePagesCall, movePages, UserAddresses, UserInts } from '../../src/syscalls/index.ts';
import { EPERM } from '../../src/uapi/errno.ts';
import { ZONE_NORMAL } from '../../src/uapi/zone.ts';
import { boot, Program, SECTION } from './machine.ts';

const MOVE = 2;
const MOVE_ALL = 4;

function machine(): Kernel {
  const zones = [{ zone: ZONE_NORMAL, pages: SECTION }] as const;
  return boot([
    { cpus: [0], zones },
    { cpus: [1], zones },
  ]);
}

interface Ids {
  readonly uid?: number;
  readonly euid?: number;
  readonly suid?: number;
  readonly gid?: number;
  readonly egid?: number;
  readonly sgid?: number;
  readonly caps?: number;
}

const USER: Ids = { uid: 1000, euid: 1000, suid: 1000, gid: 100, egid: 100, sgid: 100, caps: 0 };
/** root, but for one capability. */
const ROOT_LESS: Ids = {
  uid: 0,
  euid: 0,
  suid: 0,
  gid: 0,
  egid: 0,
  sgid: 0,
  caps: CAP_ALL & ~CAP_SYS_PTRACE,
};

function task(k: Kernel, ids: Ids): Task {
  return Object.assign(k.spawn(null, 0), USER, ids);
}

describe('ptrace-like access (OV-61)', () => {
  it.each<[string, Ids, Ids, boolean]>([
    ['same user and group', {}, {}, true],
    ['real ids of the caller decide, not effective ones', { euid: 0, egid: 0 }, {}, true],
    ['another user', { uid: 1001 }, {}, false],
    ['a set-user-id program of the same user', {}, { euid: 0 }, false],
    ['saved user id', {}, { suid: 0 }, false],
    ['another group', { gid: 200 }, {}, false],
    ['a set-group-id program', {}, { egid: 0 }, false],
    ['saved group id', {}, { sgid: 0 }, false],
    ['root without capabilities', { uid: 0 }, {}, false],
    ['CAP_SYS_PTRACE', { uid: 1, caps: CAP_SYS_PTRACE }, {}, true],
    ['a capability that the caller lacks', {}, { caps: CAP_SYS_NICE }, false],
    ['capabilities that the caller has too', { caps: CAP_ALL }, { caps: CAP_SYS_NICE }, true],
    ['root that dropped CAP_SYS_PTRACE', ROOT_LESS, { ...ROOT_LESS, caps: CAP_ALL }, false],
    ['CAP_SYS_NICE is not enough', { uid: 1, caps: CAP_SYS_NICE }, {}, false],
  ])('%s', (_what, caller, target, may) => {
    const k = machine();
    expect(ptraceMayRead(task(k, caller), task(k, target))).toBe(may);
  });

  it('OV-60: a process that is not dumpable; its own threads always', () => {
    const k = machine();
    const target = task(k, {});
    target.mm!.dumpable = false;
    expect(ptraceMayRead(task(k, {}), target)).toBe(false);
    expect(ptraceMayRead(task(k, { caps: CAP_SYS_PTRACE }), target)).toBe(true);
    expect(ptraceMayRead(target, target)).toBe(true);
  });
});

describe('calls that move pages', () => {
  function move(caller: Task, k: Kernel, p: Program, flags: number): number {
    const addresses = new UserAddresses(Float64Array.of(p.area));
    const status = new UserInts(new Int32Array(1));
    const to = new UserInts(Int32Array.of(1));
    return movePages(k, caller, p.task.pid, 1, addresses, to, status, flags);
  }

  it('MP-2, MP-5: MOVE_ALL asks for CAP_SYS_NICE, another process for its ids', () => {
    const k = machine();
    const p = new Program(k);
    Object.assign(p.task, USER);
    expect(move(task(k, { gid: 7 }), k, p, MOVE)).toBe(-EPERM);
    expect(move(task(k, {}), k, p, MOVE_ALL)).toBe(-EPERM);
    expect(move(task(k, {}), k, p, MOVE)).toBe(0);
    expect(p.where(1)).toBe('1N');
  });

  it('MP-63: shared folios stay without CAP_SYS_NICE, and are no failures', () => {
    const k = machine();
    const p = new Program(k, 4);
    Object.assign(p.task, USER);
    const child = forkTask(k, p.task);
    if (typeof child === 'number') throw new Error('fork failed');
    expect([child.gid, child.egid, child.sgid]).toEqual([100, 100, 100]);
    const node = (bit: number) => ({ bits: [bit], maxnode: 65 });
    expect(migratePagesCall(k, p.task, 0, node(0), node(1))).toBe(0);
    expect(p.where(2)).toBe('0N 0N');
    p.task.caps = CAP_SYS_NICE;
    expect(migratePagesCall(k, p.task, 0, node(0), node(1))).toBe(0);
    expect(p.where(2)).toBe('1N 1N');
  });
});
