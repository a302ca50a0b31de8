/** Saved states on disk, and the kernels that commands look into. */
import { UserError } from '../base/assert.ts';
import type { Kernel } from '../mm/index.ts';
import type { StateHead } from '../state/index.ts';
import { decimalOrHex } from './optionValues.ts';
import { packageVersion } from './packageRoot.ts';

/** Writes the kernel's state: whole or not there. Errors: UserError. */
export async function saveState(
  path: string,
  k: Kernel,
  about: string,
  force: boolean,
): Promise<void> {
  const { writeState } = await import('../state/index.ts');
  const { deflateCodec } = await import('../live/index.ts');
  const { writeOutputFile } = await import('./outputFile.ts');
  const said = { hetmem: packageVersion(), about };
  writeOutputFile(path, writeState({ k, attached: null }, said, deflateCodec()), { force });
}

/** The live kernel of a file. Errors: UserError with place and remedy. */
export async function loadState(
  path: string,
): Promise<{ readonly k: Kernel; readonly head: StateHead }> {
  const { readState } = await import('../state/index.ts');
  const { FileSource, nodeCodecs } = await import('../live/index.ts');
  const source = new FileSource(path);
  const bytes = new Uint8Array(source.sizeBytes);
  source.read(0, bytes);
  source.close();
  const codecs = await nodeCodecs();
  const { state, head } = readState(bytes, path, { codecs, hetmem: packageVersion() });
  return { k: state.k, head };
}

/** Where a command finds its kernel: one of these is given. */
export interface KernelChoice {
  readonly state?: string;
  readonly machine?: string;
  readonly case?: string;
  readonly step?: string;
  readonly kernel?: string;
}

/** A saved state, a case after a step, or a machine after boot. Errors: UserError. */
export async function chosenKernel(command: string, choice: KernelChoice): Promise<Kernel> {
  const given = [choice.state, choice.machine, choice.case].filter((one) => one !== undefined);
  if (given.length !== 1) {
    throw new UserError(command, 'of what?', 'give one of --state, --case and --machine');
  }
  if (choice.state !== undefined) return (await loadState(choice.state)).k;
  if (choice.machine !== undefined) {
    const { Kernel } = await import('../mm/index.ts');
    const { readMachine } = await import('./machineFiles.ts');
    return new Kernel(await readMachine(choice.machine), { seed: 1, trackContent: false });
  }
  const { kernelAfterStep } = await import('../conform/index.ts');
  const { readCase } = await import('./caseChoice.ts');
  const { one, machines } = await readCase(choice.case!, choice.kernel);
  const last =
    choice.step === undefined ? one.steps.length - 1 : decimalOrHex('--step', choice.step);
  return kernelAfterStep(one, machines, last);
}
