/**
 * A command line in this process, for tests of what commands answer: a process takes longer to load
 * its modules than most commands to run. What a process is, its streams and its end, is tested with
 * real ones (hetmem.ts).
 */
import { CommanderError } from 'commander';
import { vi } from 'vitest';
import { describeFailure, EXIT_BAD_INPUT } from '../../src/cli/failure.ts';
import { cleanUp } from '../../src/cli/interrupt.ts';
import { packageVersion } from '../../src/cli/packageRoot.ts';
import { createProgram } from '../../src/cli/program.ts';

/** As `hetmem` of hetmem.ts: what the command line of `args` prints, and its exit code. */
export async function commandLine(...args: readonly string[]) {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  const spies = [written(process.stdout, out), written(process.stderr, err)];
  process.exitCode = undefined;
  let code = 0;
  try {
    await createProgram(packageVersion()).parseAsync(args, { from: 'user' });
    code = Number(process.exitCode ?? 0);
  } catch (error) {
    code = codeOf(error, err);
  } finally {
    process.exitCode = undefined;
    for (const spy of spies) spy.mockRestore();
  }
  return { code, out: `${Buffer.concat(out)}`, err: `${Buffer.concat(err)}` };
}

/** As main.ts ends: commander has said what it has to say, of other errors the text is printed. */
function codeOf(error: unknown, err: Buffer[]): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_BAD_INPUT;
  cleanUp();
  const failure = describeFailure(error);
  err.push(Buffer.from(failure.text));
  return failure.exitCode;
}

function written(stream: NodeJS.WriteStream, pieces: Buffer[]) {
  return vi.spyOn(stream, 'write').mockImplementation((bytes) => {
    pieces.push(Buffer.from(bytes));
    return true;
  });
}
