/** `hetmem plan`: machines planned on the model; each question is a file. */
import type { Command } from 'commander';
import { describePrograms } from './planPrograms.ts';
import { describeZones } from './planZones.ts';

export function describe(program: Command): void {
  const plan = program.command('plan').description('plan a machine on the model');
  describePrograms(plan);
  describeZones(plan);
}
