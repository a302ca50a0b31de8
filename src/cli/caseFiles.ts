/** Conformance case files on disk, and the machines they run on. */
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { UserError } from '../base/assert.ts';
import { suggestion } from '../base/closestWord.ts';
import {
  type CaseMachines,
  type ConformanceCase,
  parseCases,
  type RefusedCase,
  refusedCase,
} from '../conform/index.ts';
import { packageRoot } from './packageRoot.ts';
import { readText } from './textFile.ts';

interface CaseOnMachines {
  readonly one: ConformanceCase;
  readonly machines: CaseMachines;
}

/** A case of hetmem's own that differs from Linux, and what it would take to change that. */
export interface Deviation {
  readonly id: string;
  readonly kernel: string;
  readonly reason: string;
  readonly remedy: string;
}

const CASES_REMEDY = 'hetmem conform without files runs its own cases';

/** hetmem's own cases, machines and index of rules. */
function ownFolder(): string {
  return join(packageRoot(), 'test', 'conformance');
}

/**
 * The cases of `files`, or hetmem's own without any. Machines: machines.json beside a file or one
 * folder above it, else hetmem's own. With `refused`, lines that are no cases are put there, and
 * the others are read. Errors: UserError with file and line.
 */
export async function readCaseFiles(
  files: readonly string[],
  refused?: RefusedCase[],
): Promise<CaseOnMachines[]> {
  const paths = files.length > 0 ? files : ownCases();
  const refuse = (error: UserError, line: string, place: string): void => {
    if (refused === undefined) throw error;
    refused.push(refusedCase(error, line, place));
  };
  return paths.flatMap((path) => {
    const machines = machinesOf(path);
    const known = new Set(machines.machines.map((machine) => machine.name));
    const cases = parseCases(readText(path, CASES_REMEDY), path, refuse);
    for (const one of cases) {
      if (known.has(one.machine)) continue;
      const problem = `no machine ${one.machine} in machines.json`;
      const names = [...known];
      const remedy = suggestion(one.machine, names, `it has ${names.join(', ')}`);
      const error = new UserError(one.place, problem, remedy);
      refuse(error, JSON.stringify(one), one.place);
    }
    return cases.filter((one) => known.has(one.machine)).map((one) => ({ one, machines }));
  });
}

function ownCases(): string[] {
  const folder = join(ownFolder(), 'cases');
  const names = readdirSync(folder).filter((name) => name.endsWith('.jsonl'));
  return names.sort().map((name) => relative(process.cwd(), join(folder, name)));
}

function machinesOf(path: string): CaseMachines {
  const folder = dirname(path);
  const candidates = [folder, dirname(folder), ownFolder()].map((at) => join(at, 'machines.json'));
  const found = candidates.find((candidate) => existsSync(candidate))!;
  try {
    const machines = JSON.parse(readText(found, CASES_REMEDY)) as CaseMachines;
    if (Array.isArray(machines.machines)) return machines;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new UserError(found, `no JSON: ${error.message}`);
  }
  throw new UserError(found, 'has no list "machines"');
}

/** Rule ids of docs/model by case, as far as the index knows the case. */
export function readRules(): Readonly<Record<string, string>> {
  return JSON.parse(readText(join(ownFolder(), 'rules.json'), CASES_REMEDY));
}

/** Cases that are known to differ, by id. */
export function readDeviations(): ReadonlyMap<string, Deviation> {
  const path = join(ownFolder(), 'deviations.json');
  const deviations = JSON.parse(readText(path, CASES_REMEDY)) as Deviation[];
  return new Map(deviations.map((deviation) => [caseOnVersion(deviation), deviation]));
}

/** The name of a case together with the version it ran on. */
export function caseOnVersion({ id, kernel }: { readonly id: string; readonly kernel: string }) {
  return `${id} on ${kernel}`;
}
