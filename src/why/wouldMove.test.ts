import { describe, expect, it } from 'vitest';
import { PAGE_SIZE } from '../base/units.ts';
import { blockOfflineObstacles, PG_DIRTY } from '../mm/index.ts';
import { bootNodes, TestProgram } from '../mm/testProgram.ts';
import { movePages, UserAddresses, UserInts } from '../syscalls/index.ts';
import { MPOL_MF_MOVE } from '../uapi/mempolicy.ts';
import { ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
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
