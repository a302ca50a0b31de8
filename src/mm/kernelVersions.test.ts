/** Behaviours of src/hw/kernelProfile.ts that no observed case shows, version by version. */
import { describe, expect, it } from 'vitest';
import { KERNEL_VERSIONS, type KernelVersion, kernelProfile } from '../hw/kernelProfile.ts';
import { EBUSY, EINVAL } from '../uapi/errno.ts';
import { KPF_KSM } from '../uapi/kernelPageFlags.ts';
import { MIGRATE_ASYNC, MIGRATE_SYNC, type MigrateMode, MR_SYSCALL } from '../uapi/migrate.ts';
import { ZONE_MOVABLE, ZONE_NORMAL } from '../uapi/zone.ts';
import { canDemote } from './demote.ts';
import { exitTask } from './fork.ts';
import { checkInvariants } from './invariants.ts';
import { hasKpf, kernelPageFlags } from './kernelPageFlags.ts';
import { munmapRange } from './mmap.ts';
import { moveToNewFolio } from './moveFolio.ts';
import { PAGE_ZERO } from './pageWalk.ts';
import { splitPmdAt } from './pteSetup.ts';
import { RECLAIM_PROACTIVE, ScanControl } from './scanControl.ts';
import { splitFolio } from './splitFolio.ts';
import { bootNodes, TestProgram } from './testProgram.ts';

function boot(kernel: KernelVersion, thp = true): TestProgram {
  const nodes = [
    { cpus: [0, 1], zones: [{ zone: ZONE_NORMAL, pages: 8192 }] },
    { cpus: [], zones: [{ zone: ZONE_MOVABLE, pages: 4096 }] },
  ] as const;
  const k = bootNodes(nodes, { kernel });
  k.sysctl.thp_enabled = thp ? 'always' : 'never';
  return new TestProgram(k);
}

const onEach = (answer: (kernel: KernelVersion) => unknown): unknown[] => {
  return KERNEL_VERSIONS.map(answer);
};

describe('kernel profiles', () => {
  it('are frozen records of one version each, the newest first', () => {
    expect(KERNEL_VERSIONS.map((version) => kernelProfile(version).version)).toEqual([
      ...KERNEL_VERSIONS,
    ]);
    expect(Object.isFrozen(kernelProfile('6.1'))).toBe(true);
  });

  it('a behaviour has a first version, a last one, or both', () => {
    expect(onEach((version) => kernelProfile(version).largeFileFolios)).toEqual([
      true,
      true,
      false,
      false,
    ]);
    expect(onEach((version) => kernelProfile(version).reservedVdso)).toEqual([
      false,
      true,
      true,
      true,
    ]);
    expect(onEach((version) => kernelProfile(version).kpageflagsSaysKsmOfAnon)).toEqual([
      false,
      false,
      true,
      false,
    ]);
  });
});

describe('is a large folio shared? (OV-16, sharedByMmIds)', () => {
  /** A folio of two processes; the child, the only other one, unmaps all but page `kept`. */
  function shared(kernel: KernelVersion, kept: number): { p: TestProgram; at: number } {
    const p = boot(kernel);
    const at = p.mapWritten(512);
    const child = p.fork();
    munmapRange(child.k, child.task.mm!, at, at + kept);
    munmapRange(child.k, child.task.mm!, at + kept + 1, at + 512);
    return { p, at };
  }

  it.each([
    { kernel: '7.3', kept: 0, is: true },
    { kernel: '7.3', kept: 9, is: true },
    { kernel: '6.12', kept: 0, is: true },
    // More mappings than pages: one of them must be shared.
    { kernel: '6.12', kept: 9, is: true },
  ] as const)('$kernel, a relative maps page $kept: $is', ({ kernel, kept, is }) => {
    const { p, at } = shared(kernel, kept);
    expect(p.k.folios.maybeMappedShared(p.head(at))).toBe(is);
  });

  it.each([
    ['7.3', true],
    ['6.12', false],
  ] as const)('%s: by its first page, when that is gone: %s', (kernel, is) => {
    const { p, at } = shared(kernel, 9);
    splitPmdAt(p.k, p.task.mm!, at);
    munmapRange(p.k, p.task.mm!, at, at + 1);
    expect(p.k.folios.maybeMappedShared(p.head(at + 9))).toBe(is);
    checkInvariants(p.k);
  });

  it.each([
    ['7.3', true],
    ['6.12', false],
  ] as const)('%s: a store after the child is gone keeps the page: %s', (kernel, kept) => {
    const p = boot(kernel);
    const at = p.mapWritten(512);
    splitPmdAt(p.k, p.task.mm!, at);
    const child = p.fork();
    exitTask(child.k, child.task);
    const page = p.frame(at + 3);
    p.store(at + 3, 7);
    expect(p.frame(at + 3) === page).toBe(kept);
    checkInvariants(p.k);
  });
});

describe('other behaviours by version', () => {
  it('OV-31b, hugeZeroWriteIsHuge: not before 6.13', () => {
    const answers = onEach((kernel) => {
      const p = boot(kernel);
      const a = p.map(512, { addr: 0x200000 });
      p.load(a);
      p.store(a + 5, 1);
      return p.k.folios.isThp(p.head(a + 5));
    });
    expect(answers).toEqual([true, true, false, false]);
  });

  it('MC-87, splitDropsZeroPages: not on 6.1', () => {
    const isZero = onEach((kernel) => {
      const p = boot(kernel);
      const at = p.map(512);
      p.store(at, 5);
      p.k.folios.get(p.head(at));
      expect(splitFolio(p.k, p.head(at), null)).toBe(0);
      return p.frame(at + 1) === PAGE_ZERO;
    });
    expect(isZero).toEqual([true, true, true, false]);
  });

  it('TI-10, demotionHeedsCpuset: since 6.16', () => {
    const may = onEach((kernel) => {
      const { k } = boot(kernel);
      k.sysctl.demotion_enabled = true;
      const sc = new ScanControl(RECLAIM_PROACTIVE, 32, 60);
      sc.demotionMask = 0b01;
      return canDemote(k, 0, sc);
    });
    expect(may).toEqual([false, false, true, true]);
  });

  it('kpageflagsSaysKsmOfAnon: on 6.12 alone', () => {
    const says = onEach((kernel) => {
      const p = boot(kernel, false);
      const at = p.mapWritten(1);
      return hasKpf(kernelPageFlags(p.k, p.frame(at)), KPF_KSM);
    });
    expect(says).toEqual([false, false, true, false]);
  });

  it('MC-41, migrationWritesOut: a dirty folio without migrate_folio or writepage', () => {
    const tries = (kernel: KernelVersion, mode: MigrateMode): number => {
      const p = boot(kernel, false);
      const file = p.k.newFile('r', 'ramfs', 1);
      const at = p.mapWritten(1, { file, shared: true });
      return moveToNewFolio(p.k, p.head(at), -1, mode, MR_SYSCALL, true);
    };
    expect(onEach((kernel) => tries(kernel, MIGRATE_SYNC))).toEqual([
      -EBUSY,
      -EBUSY,
      -EINVAL,
      -EINVAL,
    ]);
    expect(tries('6.1', MIGRATE_ASYNC)).toBe(-EBUSY);
  });
});
