import { describe, expect, it } from 'vitest';
import type { KernelVersion } from '../../hw/index.ts';
import { Kernel, plainMachine } from '../../mm/index.ts';
import { NO_SETTINGS, type ProgramMempolicy } from '../../policy/index.ts';
import { MPOL_INTERLEAVE, MPOL_WEIGHTED_INTERLEAVE } from '../../uapi/mempolicy.ts';
import { ZONE_NORMAL } from '../../uapi/zone.ts';
import { programMempolicy } from './hostSettings.ts';

function started(kernel: KernelVersion, mode: ProgramMempolicy['mode']) {
  const zones = [{ zone: ZONE_NORMAL, pages: 4096 }];
  const spec = {
    ...plainMachine([
      { cpus: [0], zones },
      { cpus: [], zones },
    ]),
    kernel,
  };
  const k = new Kernel(spec, { seed: 1, trackContent: false });
  const mempolicy: ProgramMempolicy = { mode, nodes: 'all', weights: 'auto' };
  return programMempolicy(k, { ...NO_SETTINGS, mempolicy });
}

describe('programMempolicy', () => {
  it('MP-70: no kernel runs a policy of memory that it does not have', () => {
    expect(() => started('6.1', MPOL_WEIGHTED_INTERLEAVE)).toThrow(
      /Linux 6\.1 has no MPOL_WEIGHTED_INTERLEAVE/,
    );
    expect(started('6.12', MPOL_WEIGHTED_INTERLEAVE)).toMatchObject({
      mode: MPOL_WEIGHTED_INTERLEAVE,
    });
    expect(started('6.1', MPOL_INTERLEAVE)).toMatchObject({ mode: MPOL_INTERLEAVE });
  });
});
