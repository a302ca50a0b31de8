/** Memory that begins on another node than first touch gives it (ProgramPlan.fillNid). */
import { expect, it } from 'vitest';
import { plainMachine } from '../mm/plainMachine.ts';
import { type KnobValues, resolveKnobs } from '../policy/index.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { findWorkload, openWorkload } from '../workload/index.ts';
import { runOne } from './run.ts';

/** Graph500 of scale 14, 6.5 MiB, with room for it on both nodes. */
function run(fillNode: number, name = 'first-touch', params: KnobValues = {}) {
  const plain = plainMachine([
    { cpus: [0], zones: [{ zone: ZONE_NORMAL, pages: 32_768 }] },
    { cpus: [], zones: [{ zone: ZONE_NORMAL, pages: 32_768 }] },
  ]);
  const [dram, cxl] = plain.nodes;
  const far = { ...cxl.perf, readLatencyNs: 250, writeLatencyNs: 250 };
  const graph500 = findWorkload('graph500')!;
  const { values } = resolveKnobs(graph500.knobs, { scale: 14, accesses: 0.5, fillNode });
  const spec = {
    machine: { ...plain, nodes: [dram, { ...cxl, kind: 'cxl' as const, perf: far }] },
    policy: { name, params },
    workload: { name: 'graph500', trace: '', generator: 'graph500', params: values },
    seed: 1,
    seriesPoints: 0,
  };
  const result = runOne(spec, openWorkload(graph500, values, 1), { hetmem: 'test' });
  return { ...result, pages: result.nodes.map(({ residentPages }) => residentPages) };
}

it('is all on the node that it was filled on, and no policy binds it there (MP-94)', () => {
  const local = run(-1);
  const away = run(1);
  expect(away.pages[0]).toBe(0);
  expect(local.pages).toEqual([away.pages[1], 0]);
  const scans = { scanDelay: 1, scanPeriodMin: 1, scanPeriodMax: 100, hotThreshold: 100 };
  const promoted = run(1, 'numa-balancing', scans);
  expect(promoted.migration.promotedPages).toBeGreaterThan(0.4 * away.pages[1]);
  // The list of edges is half of the memory, and nobody touches it again.
  expect(promoted.migration.promotedPages).toBeLessThan(0.55 * away.pages[1]);
  expect(away.warnings).toEqual([]);
});

it('is told where the machine has no such node', () => {
  expect(run(2).warnings).toEqual([
    'set_mempolicy of the program failed: does this machine have memory on its nodes?',
  ]);
});
