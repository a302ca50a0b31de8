/** Answers of hetmem plan and tune as flat tables. Described in docs/reports.md. */
import type { DramPlan, PlannedPolicy } from './dramPlan.ts';
import type { TriedShare } from './dramSearch.ts';
import { type FlatTable, flatTable } from './flatTable.ts';
import type { Tuning } from './tuning.ts';

export function planTables(plan: DramPlan): FlatTable[] {
  const policies = plan.policies.map((one, i) => ({ one, isBest: i === plan.best }));
  const shares = plan.policies.flatMap((one) => one.tried.map((tried) => ({ one, tried })));
  return [
    flatTable('policies', policies, [
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
      ['policy', 'string', ({ one }: Tried) => one.policy.label],
      ['share', 'number', ({ tried }) => tried.share],
      ['slowdown', 'number', ({ tried }) => tried.slowdown.median],
      ['slowdown_min', 'number', ({ tried }) => tried.slowdown.min],
      ['slowdown_max', 'number', ({ tried }) => tried.slowdown.max],
      ['confidence', 'number', ({ tried }) => tried.confidence],
      ['holds', 'boolean', ({ tried }) => tried.slowdown.median <= plan.bound],
    ]),
    flatTable('knobs', plan.sensitivity, [
      ['knob', 'string', ({ knob }) => knob],
      ['initial', 'string', ({ initial }) => String(initial)],
      ['value', 'string', ({ value }) => String(value)],
      ['slowdown', 'number', ({ slowdown }) => slowdown],
    ]),
  ];
}

interface Tried {
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
