/** `hetmem plan`: machines planned on the model; each question is a file (planPrograms.ts). */
import type { Command } from 'commander';
import { describePrograms } from './planPrograms.ts';

export function describe(program: Command): void {
  const plan = program.command('plan').description('plan a machine on the model');
  describePrograms(plan);
}
