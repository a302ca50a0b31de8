/**
 * The entry of the command line: runs the command of process.argv and turns whatever goes wrong
 * into a message on stderr and an exit code (failure.ts).
 *
 * A reader that goes away (`hetmem trace info x | head -1`) is no error: the rest is not printed
 * and the exit code is 141, as of a program killed by SIGPIPE.
 */
import { CommanderError } from 'commander';
import { describeFailure, EXIT_BAD_INPUT } from './failure.ts';
import { cleanUp } from './interrupt.ts';
import { packageVersion } from './packageRoot.ts';
import { createProgram } from './program.ts';

const EXIT_SIGPIPE = 141;

function fail(error: unknown): never {
  cleanUp();
  const failure = describeFailure(error);
  process.stderr.write(failure.text);
  process.exit(failure.exitCode);
}

function onStreamError(error: NodeJS.ErrnoException): never {
  if (error.code !== 'EPIPE') fail(error);
  cleanUp();
  process.exit(EXIT_SIGPIPE);
}

process.stdout.on('error', onStreamError);
process.stderr.on('error', onStreamError);
process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);

try {
  await createProgram(packageVersion()).parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) fail(error);
  // commander has printed its message or the help; a pipe that broke meanwhile is still reported.
  process.exitCode = error.exitCode === 0 ? 0 : EXIT_BAD_INPUT;
}
