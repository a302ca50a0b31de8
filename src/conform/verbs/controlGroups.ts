/** Verbs of control groups: cgroup.create, cgroup.enter, cgroup.write. */
import { returned } from '../outcome.ts';
import type { VerbTable } from '../verbTypes.ts';

export const CGROUP_VERBS: VerbTable = {
  'cgroup.create': (world, _process, inputs) =>
    returned(world.cgroups.create(inputs.string('cgroup'))),
  'cgroup.enter': (world, process, inputs) =>
    returned(world.cgroups.enter(process.task, inputs.string('cgroup'), inputs.place)),
  'cgroup.write': (world, process, inputs) => {
    const name = inputs.string('cgroup');
    const file = inputs.string('file');
    const value = inputs.string('value');
    return returned(world.cgroups.write(name, file, value, process.task, inputs.place));
  },
};
