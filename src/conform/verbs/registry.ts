/** All verbs and looks that the model can act out. Those of the format that are not here skip. */
import type { VerbTable } from '../verbTypes.ts';
import { CGROUP_VERBS } from './controlGroups.ts';
import { DEVICE_VERBS } from './devices.ts';
import { FILE_VERBS } from './files.ts';
import { LOOKS } from './looks.ts';
import { MAPPING_VERBS } from './mapping.ts';
import { MEMORY_BLOCK_VERBS } from './memoryBlocks.ts';
import { MIGRATING_VERBS } from './migrating.ts';
import { PAGE_BIT_VERBS } from './pageBits.ts';
import { PINNING_VERBS } from './pinning.ts';
import { PIPE_VERBS } from './pipes.ts';
import { POLICY_VERBS } from './policies.ts';
import { PROCESS_VERBS } from './processes.ts';
import { TOUCHING_VERBS } from './touching.ts';

export const VERBS: VerbTable = {
  ...MAPPING_VERBS,
  ...TOUCHING_VERBS,
  ...PROCESS_VERBS,
  ...MIGRATING_VERBS,
  ...POLICY_VERBS,
  ...FILE_VERBS,
  ...CGROUP_VERBS,
  ...PINNING_VERBS,
  ...PIPE_VERBS,
  ...PAGE_BIT_VERBS,
  ...MEMORY_BLOCK_VERBS,
  ...DEVICE_VERBS,
};

export { LOOKS };
