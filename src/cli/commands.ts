/**
 * The list of commands, in the groups and the order of `hetmem --help`.
 *
 * A command is a file of this folder that exports `describe(program)`: it adds the command with its
 * purpose, arguments, options and examples. All of them are described for every call of hetmem, so
 * such a file imports commander's types and the small shared pieces only; what it works with is
 * loaded in its action: `await import('../trace/index.ts')`.
 */
import type { Command } from 'commander';
import { describe as compare } from './compare.ts';
import { describe as conform } from './conform.ts';
import { describe as heat } from './heat.ts';
import { describe as lab } from './lab.ts';
import { describe as machine } from './machine.ts';
import { describe as plan } from './plan.ts';
import { describe as policies } from './policies.ts';
import { describe as proc } from './proc.ts';
import { describe as published } from './published.ts';
import { describe as record } from './record.ts';
import { describe as report } from './report.ts';
import { describe as run } from './run.ts';
import { describe as start } from './start.ts';
import { describe as trace } from './trace.ts';
import { describe as tune } from './tune.ts';
import { describe as why } from './why.ts';

export interface CommandGroup {
  readonly heading: string;
  readonly describe: readonly ((program: Command) => void)[];
}

export const COMMAND_GROUPS: readonly CommandGroup[] = [
  {
    heading: 'Try an argument:',
    describe: [start, compare, run, report, plan, tune, lab, published],
  },
  { heading: 'Traces of real programs:', describe: [record, trace] },
  { heading: 'Machines, policies, heat:', describe: [machine, policies, heat] },
  { heading: 'The kernel model:', describe: [conform, proc, why] },
];
