/** One conformance case by name: `ID` of hetmem's own cases, or `FILE#ID`. */
import { UserError } from '../base/assert.ts';
import { type CaseMachines, type ConformanceCase, caseOnKernel } from '../conform/index.ts';
import { readCaseFiles } from './caseFiles.ts';
import { kernelOf } from './kernelChoice.ts';

/** Errors: UserError for a case, a file or a kernel version that is not there. */
export async function readCase(
  choice: string,
  kernel: string | undefined,
): Promise<{ readonly one: ConformanceCase; readonly machines: CaseMachines }> {
  const hash = choice.lastIndexOf('#');
  const files = hash < 0 ? [] : [choice.slice(0, hash)];
  const id = choice.slice(hash + 1);
  const cases = await readCaseFiles(files);
  const found = cases.find(({ one }) => one.id === id);
  const where = hash < 0 ? "hetmem's own cases" : files[0];
  if (found === undefined) {
    throw new UserError(choice, `no case ${id} in ${where}`, '--case ID or --case FILE#ID');
  }
  if (kernel === undefined) return found;
  const asked = caseOnKernel(found.one, kernelOf(kernel));
  if (asked === null) throw new UserError(choice, `was not seen on kernel ${kernel}`);
  return { one: asked, machines: found.machines };
}
