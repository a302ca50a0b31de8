/** `hetmem plan`: machines planned on the model; what is planned is a file each (planPrograms.ts). */
import type { Command } from 'commander';
import { describePrograms } from './planPrograms.ts';

export function describe(program: Command): void {
  const plan = program.command('plan').description('plan a machine on the model');
  describePrograms(plan);
}
