/**
 * The reader of YAML texts under a schema that machine files use: experiment files tell mistakes in
 * the same way. It loads yaml and zod, so only files that are themselves loaded late import this.
 */
import { machineFileReader } from '../hw/index.ts';

export const { closedObject, throwProblems, withRemedy, YamlFile } = await machineFileReader();

/** Where a field stands: keys and indices from the top of the file. */
export type FieldPath = readonly (string | number)[];

/** One thing wrong with a file, at one place. */
export type FileProblem = Parameters<typeof throwProblems>[0][number];
