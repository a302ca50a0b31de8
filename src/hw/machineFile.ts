/**
 * Machine files: YAML in, MachineSpec out, every mistake told with its place and a remedy.
 *
 * Loads yaml and zod, so only the cold path imports it (hw/index.ts has machineFileReader()).
 * The format is described in docs/model/machine.md.
 */
import { buildMachine } from './machineBuild.ts';
import { checkFields, checkMachine } from './machineCheck.ts';
import { MACHINE_SCHEMA } from './machineSchema.ts';
import type { MachineSpec } from './machineSpec.ts';
import { type FieldPath, type FileProblem, throwProblems, YamlFile } from './yamlReader.ts';

export { MACHINE_FORMAT, machineJsonSchema, SYSCTL_SCHEMA } from './machineSchema.ts';
export { closedObject, throwProblems, withRemedy, YamlFile } from './yamlReader.ts';

/**
 * The machine that `text` describes. Pure; `fileName` is only used in messages.
 * Errors: UserError; its text lists all problems, a line each, as file:line:column: path: message.
 */
export function parseMachine(text: string, fileName: string): MachineSpec {
  const file = YamlFile.read(text, fileName, MACHINE_SCHEMA);
  const problems: FileProblem[] = [];
  const report = (path: FieldPath, message: string, remedy: string) =>
    problems.push(file.problem(path, message, remedy));
  checkFields(file.value, report);
  throwProblems(problems);
  const spec = buildMachine(file.value);
  checkMachine(file.value, spec, report);
  throwProblems(problems);
  return spec;
}
