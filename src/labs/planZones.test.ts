/** E5: the planner of ZONE_MOVABLE finds what machines bear, and says what may go wrong. */
import { describe, expect, it } from 'vitest';
import { planZones, scaleOf, tryZones, type ZonesAsked } from './planZones.ts';
import { zonesGuidance } from './zonesGuidance.ts';

const ASKED: ZonesAsked = {
  memoryMib: 512,
  nodes: 1,
  cxlMib: 0,
  pinnedMib: 128,
  unmovableMib: 64,
  growthMib: 8,
  userMib: 240,
  swapMib: 0,
  blockMib: 16,
  hugePages: true,
  seed: 1,
};

describe('planZones', () => {
  it('the answer holds everything, one block more does not (PM-25)', () => {
    const plan = planZones(ASKED);
    const movable = plan.movableMib!;
    expect(movable).toBeGreaterThan(128);
    expect(movable % 16).toBe(0);
    expect(plan.bootParameter).toBe(`movablecore=${movable}M`);
    expect(tryZones(ASKED, movable, 'first').problem).toBe('');
    const more = tryZones(ASKED, movable + 16, 'first');
    expect(more.problem).not.toBe('');
    expect(plan.trials.find((trial) => trial.movableMib === movable + 16)).toEqual(more);
  });

  it('more pinned memory leaves less ZONE_MOVABLE', () => {
    const sizes = [0, 64, 192].map((pinnedMib) => {
      return planZones({ ...ASKED, pinnedMib, userMib: 128 }).movableMib!;
    });
    expect(sizes[0]).toBeGreaterThan(sizes[1]);
    expect(sizes[1]).toBeGreaterThan(sizes[2]);
  });

  it('warns of late pins when memory is full, and says how many succeed', () => {
    const plan = planZones(ASKED);
    const late = plan.risks.find(({ pins }) => pins === 'late')!;
    expect(late.pinnedMib).toBeLessThan(128);
    expect(plan.isDangerous).toBe(true);
    expect(plan.warnings[0]).toMatch(/^pinned late: not all can be pinned when memory is full/);
    expect(zonesGuidance(plan).join(' ')).toContain(`${late.pinnedMib} MiB of 128 MiB succeed`);
  });

  it('roomy machines are not dangerous', () => {
    const roomy = { ...ASKED, pinnedMib: 16, userMib: 32, memoryMib: 256 };
    const plan = planZones(roomy);
    const late = plan.risks.find(({ pins }) => pins === 'late')!;
    expect(late.problem).toBe('');
    expect(plan.warnings.some((warning) => warning.startsWith('pinned late'))).toBe(false);
  });

  it('says that no size works', () => {
    const plan = planZones({ ...ASKED, pinnedMib: 480 });
    expect([plan.movableMib, plan.isDangerous]).toEqual([null, true]);
    const failed = plan.trials.filter(({ problem }) => problem.includes('not all can be pinned'));
    expect(failed.map(({ freeMovableMib }) => freeMovableMib)).toEqual([0]);
    expect(zonesGuidance(plan).join(' ')).not.toContain('although much memory is free');
    expect(plan.warnings).toEqual([
      '155 % of the memory are asked for: pin less, add memory, or run fewer programs',
    ]);
  });

  it('two nodes and an expander: the same on each node, its blocks removable', () => {
    const asked = { ...ASKED, nodes: 2, cxlMib: 256, userMib: 400 };
    const plan = planZones(asked);
    expect(plan.perNodeMib! * 2).toBe(plan.movableMib);
    const answer = plan.trials.find(({ movableMib }) => movableMib === plan.movableMib)!;
    expect(answer.blocks).toBe(plan.movableMib! / 16 + 16);
    expect(answer.removable).toBe(answer.blocks);
  });

  it('large machines are modelled smaller, and answer in their own sizes', () => {
    const keys = ['memoryMib', 'pinnedMib', 'unmovableMib', 'growthMib', 'userMib', 'blockMib'];
    const times = Object.fromEntries(keys.map((key) => [key, ASKED[key as 'blockMib'] * 64]));
    const large = { ...ASKED, ...times };
    expect([scaleOf(ASKED), scaleOf(large)]).toEqual([1, 2]);
    const plan = planZones({ ...large, pinnedMib: 0, userMib: 0 });
    expect(plan.scale).toBe(2);
    expect(plan.movableMib! + plan.normalMib!).toBe(large.memoryMib);
    expect(plan.trials[0].kernelMib).toBe(large.growthMib);
  });
});
