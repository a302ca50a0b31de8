import { describe, expect, it } from 'vitest';
import { PAGE_SIZE } from '../base/units.ts';
import {
  blockOfflineObstacles,
  MEMORY_DEVICE_COHERENT,
  MEMORY_DEVICE_PRIVATE,
  MIGRATE_VMA_SELECT_SYSTEM,
  PG_DIRTY,
} from '../mm/index.ts';
import { moveTo, TestDevice } from '../mm/testDevice.ts';
import { bootNodes, TestProgram } from '../mm/testProgram.ts';
import { movePages, UserAddresses, UserInts } from '../syscalls/index.ts';
import { ENOENT } from '../uapi/errno.ts';
import { MPOL_MF_MOVE } from '../uapi/mempolicy.ts';
import { ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import { pageLines } from './accountText.ts';
import { whyAddress, whyFrame } from './pageAccount.ts';
import { wouldMovePages } from './wouldMove.ts';

const BLOCK = 1024;

function twoNodes() {
  return bootNodes(
    [
      { cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: 4 * BLOCK }] },
      { cpus: [], zones: [{ zone: ZONE_MOVABLE, pages: 4 * BLOCK }] },
    ],
    { memoryBlockPages: BLOCK },
  );
}

function movePage({ k, task }: TestProgram, vpn: number, nid: number): number {
  const address = new UserAddresses(Float64Array.of(vpn * PAGE_SIZE));
  const node = new UserInts(Int32Array.of(nid));
  const status = new UserInts(new Int32Array(1));
  return movePages(k, task, 0, 1, address, node, status, MPOL_MF_MOVE);
}

describe('what move_pages would answer', () => {
  it('MC-41: a ramfs page that only its page table entry knows to be dirty', () => {
    const p = new TestProgram(twoNodes());
    const file = p.k.newFile('/ramfs/f', 'ramfs', 2);
    const start = p.map(2, { file, shared: true });
    p.access(start, false);
    p.access(start + 1, false);
    p.access(start + 1, true);
    expect(p.has(start + 1, PG_DIRTY)).toBe(false);
    const ask = (vpn: number) => {
      return wouldMovePages(p.k, { caller: p.task, target: p.task, vpn, nid: 1 }, false);
    };
    expect(ask(start)).toMatchObject({ returns: 0, status: 1, moves: true, isCertain: true });
    const stays = { returns: 1, moves: false, cause: 'no-migrate-operation', isCertain: true };
    expect(ask(start + 1)).toMatchObject(stays);
    const kept = blockOfflineObstacles(p.k, p.k.pm.memoryBlocks.blockOf(p.frame(start + 1)));
    expect(kept.map(({ kind }) => kind)).toContain('no-migrate-operation');
    expect(movePage(p, start, 1)).toBe(0);
    expect(movePage(p, start + 1, 1)).toBe(1);
    expect([p.nid(start), p.nid(start + 1)]).toEqual([1, 0]);
  });
});

describe('pages of devices', () => {
  it.each([
    ['coherent', MEMORY_DEVICE_COHERENT, 'device-page'],
    ['private', MEMORY_DEVICE_PRIVATE, 'device-entry'],
  ] as const)('MP-22, MP-24, %s: -ENOENT, as the call answers', (_kind, type, cause) => {
    const zones = [{ zone: ZONE_NORMAL, pages: 8192 }];
    const nodes = [
      { cpus: [0], zones },
      { cpus: [], zones },
    ];
    const p = new TestProgram(bootNodes(nodes, { deviceSections: 1 }));
    const device = new TestDevice(p.k, type);
    const a = p.mapWritten(2);
    moveTo(device, p, a, 2, MIGRATE_VMA_SELECT_SYSTEM);
    const account = whyAddress(p.k, p.task, p.task, a, 1);
    expect(account.causes.map(({ name }) => name)).toEqual([cause]);
    expect(account.would[0]).toMatchObject({ returns: 0, status: -ENOENT, moves: false });
    expect([account.compaction, account.offline]).toEqual([null, '']);
    const text = pageLines(account).join('\n');
    if (type === MEMORY_DEVICE_COHERENT) {
      expect(text).toContain('zone Device, in no memory block');
      expect(whyFrame(p.k, p.k.frames.pfnOf(p.frame(a)), p.task, 1).frame).toEqual(account.frame);
    }
    expect(text).not.toContain('offline of memory block');
    const address = new UserAddresses(Float64Array.of(a * PAGE_SIZE));
    const answers = new Int32Array(1);
    const status = new UserInts(answers);
    const node = new UserInts(Int32Array.of(1));
    expect(movePages(p.k, p.task, 0, 1, address, node, status, MPOL_MF_MOVE)).toBe(0);
    expect(answers[0]).toBe(-ENOENT);
  });
});
