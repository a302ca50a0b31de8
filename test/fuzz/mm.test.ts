/** A smoke run of the fuzzer of mm/, and canaries: planted bugs that it must find. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  AcceleratorContext,
  DeviceDax,
  Dmirror,
  DmirrorDevice,
  Folios,
  type Kernel,
  P2pProvider,
  PrivateAccelerator,
  SwapArea,
} from './mm/kernelDoor.ts';
import type { MachinePlan } from './mm/machines.ts';
import type { Operation } from './mm/operations.ts';
import { reduceHistory } from './mm/reduce.ts';
import { fuzz } from './mm/run.ts';

describe('the fuzzer of mm/', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it('finds nothing in some histories (OV-49..OV-58)', () => {
    expect(fuzz({ seed: 7, runs: 50, operationsMax: 60, checkEvery: 4 })).toBeNull();
  });

  it('plays the same histories twice with the same end', () => {
    const run = (): string[] => {
      const report = fuzz({
        seed: 3,
        runs: 200,
        operationsMax: 60,
        checkEvery: 20,
        plant: forgetCopies,
      });
      return report!.split('\n').filter((line) => !line.startsWith('    at'));
    };
    expect(run()).toEqual(run());
  });

  it('makes a long history that fails short', () => {
    const one = (proc: number): Operation => ({ op: 'fork', proc });
    const fails = (_plan: MachinePlan, operations: readonly Operation[]): string | null => {
      const procs = operations.map((o) => (o.op === 'fork' ? o.proc : -1));
      return procs.includes(7) && procs.includes(40) ? `frame ${procs.length} is lost` : null;
    };
    const history = Array.from({ length: 50 }, (_, proc) => one(proc));
    expect(reduceHistory(null as never, history, fails)).toEqual([one(7), one(40)]);
  });

  const canaries: readonly { bug: string; plant: () => ((k: Kernel) => void) | undefined }[] = [
    { bug: 'migration does not copy the page (MC-38)', plant: () => forgetCopies },
    {
      bug: 'swap-out writes nothing (OV-25)',
      plant: () => {
        vi.spyOn(SwapArea.prototype, 'setContent').mockImplementation(() => {});
        return undefined;
      },
    },
    {
      bug: 'a shared page passes for exclusive, so a store reaches the relatives (OV-18)',
      plant: () => {
        vi.spyOn(Folios.prototype, 'isAnonExclusive').mockReturnValue(true);
        return undefined;
      },
    },
    {
      bug: 'a driver does not hear of changed entries (DM-3)',
      plant: () => {
        vi.spyOn(Dmirror.prototype, 'invalidate').mockImplementation(() => {});
        return undefined;
      },
    },
    {
      bug: 'a driver does not bring the page of a fault back (DM-41)',
      plant: () => {
        vi.spyOn(DmirrorDevice.prototype, 'owns').mockReturnValue(false);
        return undefined;
      },
    },
    {
      bug: 'an accelerator does not hear of changed entries (DM-3)',
      plant: () => {
        vi.spyOn(AcceleratorContext.prototype, 'invalidate').mockImplementation(() => {});
        return undefined;
      },
    },
    {
      bug: 'an accelerator forgets pages that it gets back (DM-50)',
      plant: () => {
        vi.spyOn(PrivateAccelerator.prototype, 'folioFree').mockImplementation(() => {});
        return undefined;
      },
    },
    {
      bug: 'a P2PDMA provider forgets pages that it gets back (DM-90)',
      plant: () => {
        vi.spyOn(P2pProvider.prototype, 'folioFree').mockImplementation(() => {});
        return undefined;
      },
    },
    {
      bug: 'a device-dax range that nobody holds does not go (DM-53)',
      plant: () => {
        vi.spyOn(DeviceDax.prototype, 'heldPage', 'get').mockReturnValue(0);
        return undefined;
      },
    },
    {
      bug: 'an unmapped mapping stays in the mm id slots (OV-16)',
      plant: () => {
        vi.spyOn(Folios.prototype, 'removeMmMappings').mockImplementation(() => {});
        return undefined;
      },
    },
  ];
  it.each(canaries)('finds a planted bug: $bug', ({ plant }) => {
    const patched = plant() ?? (() => {});
    const runs = { seed: 1, runs: 400, operationsMax: 60, checkEvery: 20, plant: patched };
    expect(fuzz(runs)).not.toBeNull();
  });
});

function forgetCopies(k: Kernel): void {
  const content = k.frames.content!;
  content.copyWithin = () => content;
}
