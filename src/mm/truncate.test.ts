import { describe, expect, it } from 'vitest';
import { MAP_LOCKED } from '../uapi/mman.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { FAULT_SIGBUS } from './fault.ts';
import { checkInvariants } from './invariants.ts';
import { putbackMovablePages } from './isolateFolio.ts';
import { bootNodes, isolate, migration, TestProgram } from './testProgram.ts';
import { truncateFile } from './truncate.ts';

function boot(): TestProgram {
  const zones = [{ zone: ZONE_NORMAL, pages: 4096 }];
  return new TestProgram(
    bootNodes([
      { cpus: [0], zones },
      { cpus: [], zones },
    ]),
  );
}

describe('truncation', () => {
  it('drops private copies of what is behind the end, and reads there are SIGBUS', () => {
    const p = boot();
    const file = p.k.newFile('f', 'ext4', 4);
    const a = p.mapWritten(4, { file });
    truncateFile(p.k, file, 2);
    checkInvariants(p.k);
    expect(p.load(a + 1)).toBe(2);
    expect(p.access(a + 2, false)).toBe(FAULT_SIGBUS);
    truncateFile(p.k, file, 4);
    expect(p.load(a + 2)).toBe(0);
  });

  it('unmaps locked pages too (PM-10)', () => {
    const p = boot();
    const file = p.k.newFile('f', 'tmpfs', 4);
    const a = p.mapWritten(4, { file, shared: true, flags: MAP_LOCKED });
    truncateFile(p.k, file, 0);
    checkInvariants(p.k);
    expect(p.frame(a)).toBeLessThan(0);
  });

  it('waits for a migration that holds the folio (MC-90)', () => {
    const p = boot();
    const file = p.k.newFile('f', 'tmpfs', 2);
    const a = p.mapWritten(2, { file, shared: true });
    const list = isolate(p, a, 2);
    const op = migration(p.k, list, 1);
    op.step();
    truncateFile(p.k, file, 1);
    expect(op.isDone).toBe(true);
    putbackMovablePages(p.k, list);
    checkInvariants(p.k);
    expect(p.load(a)).toBe(1);
  });

  it('clears the part of a large folio that is cut off', () => {
    const p = boot();
    const file = p.k.newFile('f', 'tmpfs', 512);
    file.hugeAlways = true;
    const a = p.mapWritten(512, { file, shared: true, addr: 0x200000 });
    truncateFile(p.k, file, 100);
    truncateFile(p.k, file, 512);
    checkInvariants(p.k);
    expect(p.load(a + 99)).toBe(100);
    expect(p.load(a + 100)).toBe(0);
  });

  it.each([
    ['7.3', [64, 32, 4]],
    ['6.12', Array.from({ length: 100 }, () => 1)],
  ] as const)('MC-86: %s: what is left of a large folio is in pieces of', (kernel, sizes) => {
    const zones = [{ zone: ZONE_NORMAL, pages: 4096 }];
    const p = new TestProgram(bootNodes([{ cpus: [0], zones }], { kernel }));
    const file = p.k.newFile('f', 'tmpfs', 512);
    file.hugeAlways = true;
    const a = p.mapWritten(512, { file, shared: true, addr: 0x200000 });
    truncateFile(p.k, file, 100);
    checkInvariants(p.k);
    const headOf = (index: number) => p.k.frames.headOf(file.frameAt(index));
    const heads = new Set(Array.from({ length: 100 }, (_, n) => headOf(n)));
    expect([...heads].map((head) => p.k.folios.nrPages(head))).toEqual(sizes);
    expect(file.pages.size).toBe(100);
    for (let n = 0; n < 100; n++) expect(p.load(a + n)).toBe(n + 1);
  });
});
