/** Answers of hetmem plan and tune as flat tables. Described in docs/reports.md. */
import type { DramPlan, PlannedPolicy } from './dramPlan.ts';
import type { TriedShare } from './dramSearch.ts';
import { type FlatTable, flatTable } from './flatTable.ts';
import type { Tuning } from './tuning.ts';

/** One plan a machine. */
export function planTables(plans: readonly DramPlan[]): FlatTable[] {
  const policies = plans.flatMap((plan) => {
    return plan.policies.map((one, i) => ({ plan, one, isBest: i === plan.best }));
  });
  const shares = policies.flatMap(({ plan, one }) => {
    return one.tried.map((tried): Tried => ({ plan, one, tried }));
  });
  const knobs = plans.flatMap((plan) => plan.sensitivity.map((effect) => ({ plan, effect })));
  return [
    flatTable('policies', policies, [
      ['machine', 'string', ({ plan }) => plan.machine],
      ['policy', 'string', ({ one }) => one.policy.label],
      ['policy_name', 'string', ({ one }) => one.policy.name],
      ['params', 'string', ({ one }) => JSON.stringify(one.policy.params)],
      ['is_oracle', 'boolean', ({ one }) => one.isOracle],
      ['is_best', 'boolean', ({ isBest }) => isBest],
      ['share', 'number', ({ one }) => one.smallest?.share ?? 1],
      ['slowdown', 'number', ({ one }) => one.smallest?.slowdown.median ?? 1],
      ['confidence', 'number', ({ one }) => one.smallest?.confidence ?? 1],
      ['fast_bytes', 'integer', ({ one }) => one.memory.fastBytes],
      ['slow_bytes', 'integer', ({ one }) => one.memory.slowBytes],
      ['cost', 'number', ({ one }) => one.memory.cost],
      ['cost_share', 'number', ({ one }) => one.memory.costShare],
    ]),
    flatTable('shares', shares, [
      ['machine', 'string', ({ plan }) => plan.machine],
      ['policy', 'string', ({ one }) => one.policy.label],
      ['share', 'number', ({ tried }) => tried.share],
      ['slowdown', 'number', ({ tried }) => tried.slowdown.median],
      ['slowdown_min', 'number', ({ tried }) => tried.slowdown.min],
      ['slowdown_max', 'number', ({ tried }) => tried.slowdown.max],
      ['confidence', 'number', ({ tried }) => tried.confidence],
      ['holds', 'boolean', ({ plan, tried }) => tried.slowdown.median <= plan.bound],
    ]),
    flatTable('knobs', knobs, [
      ['machine', 'string', ({ plan }) => plan.machine],
      ['knob', 'string', ({ effect }) => effect.knob],
      ['initial', 'string', ({ effect }) => String(effect.initial)],
      ['value', 'string', ({ effect }) => String(effect.value)],
      ['slowdown', 'number', ({ effect }) => effect.slowdown],
    ]),
  ];
}

interface Tried {
  readonly plan: DramPlan;
  readonly one: PlannedPolicy;
  readonly tried: TriedShare;
}

export function tuningTables(tuning: Tuning): FlatTable[] {
  const tries = tuning.rounds.flatMap(({ tried }, round) => {
    return tried.map(({ changes, slowdown }) => ({ round: round + 1, changes, slowdown }));
  });
  const knobs = Object.entries({ ...tuning.initial, ...tuning.params });
  return [
    flatTable('tries', tries, [
      ['round', 'integer', ({ round }) => round],
      ['changes', 'string', ({ changes }) => JSON.stringify(changes)],
      ['slowdown', 'number', ({ slowdown }) => slowdown],
    ]),
    flatTable('knobs', knobs, [
      ['knob', 'string', ([knob]) => knob],
      ['initial', 'string', ([knob]) => String(tuning.initial[knob])],
      ['tuned', 'string', ([, value]) => String(value)],
    ]),
  ];
}
