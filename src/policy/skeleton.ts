/**
 * Copy me: a whole policy, as small as it gets. It promotes every page that the heat source saw at
 * least `minSeen` times in one period and that was in a slow node, as long as a fast node has room,
 * and demotes nothing, so it stops when the fast nodes are full.
 *
 * The real thing: none. Name here the paper, kernel function or tool that your policy follows, what
 * it decides on, and mark where yours differs with a deviation tag (see hemem.ts).
 */

import { fastNids, type HostView } from './hostView.ts';
import { type KnobValues, numberOf } from './knob.ts';
import { type MigrationPlan, REASON_PROMOTE } from './migrationPlan.ts';
import { NO_NEEDS, NO_SETTINGS, type Policy, type PolicyDescription } from './policy.ts';

export const skeleton: PolicyDescription = {
  name: 'skeleton',
  summary: 'promotes pages seen often enough while there is room; an example to copy',
  source: 'none',
  knobs: [
    {
      kind: 'integer',
      name: 'minSeen',
      default: 2,
      min: 1,
      max: 1_000_000,
      unit: 'samples',
      doc: 'sightings in one period from which on a page is promoted',
    },
  ],
  make: (values) => new Skeleton(values),
};

class Skeleton implements Policy {
  readonly name = 'skeleton';
  readonly needs = { ...NO_NEEDS, heat: 'pebs' as const };
  readonly settings = NO_SETTINGS;
  readonly periodNs = 10_000_000;
  readonly planCapacity = 4096;
  readonly #minSeen: number;

  constructor(values: KnobValues) {
    this.#minSeen = numberOf(values, 'minSeen');
  }

  decide(view: HostView, plan: MigrationPlan): void {
    const { heat, nodes } = view;
    const fast = fastNids(nodes)[0];
    if (fast === undefined) return;
    let room = nodes.free[fast] - nodes.high[fast] - view.pendingPages;
    for (let row = 0; row < heat.nrRows; row++) {
      // Rows of processes that are gone have pid -1.
      if (heat.pid[row] < 0 || heat.nid[row] < 0 || nodes.isToptier[heat.nid[row]] === 1) continue;
      const nrPages = heat.nrPages[row];
      if (heat.reads[row] + heat.writes[row] < this.#minSeen || nrPages > room) continue;
      if (!plan.migrateVirtual(heat.pid[row], heat.vpn[row], nrPages, fast, REASON_PROMOTE)) return;
      room -= nrPages;
    }
  }
}
