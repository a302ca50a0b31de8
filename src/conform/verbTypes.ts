/** A verb or look of the case format: what it does in the world, and what it answers. */
import type { Fields } from './caseFile.ts';
import type { Inputs } from './inputs.ts';
import type { Process } from './process.ts';
import type { World } from './world.ts';

/** Answers the fields that `expect` of the step is compared with. Throws NotModelled to skip. */
export type Verb = (world: World, process: Process, inputs: Inputs) => Fields;

export type VerbTable = Readonly<Record<string, Verb>>;
