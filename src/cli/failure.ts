/**
 * What the user sees when a command fails, and with which code the process exits:
 *
 *   2    the input is wrong: a UserError, an unknown command or option, a missing argument
 *   70   a bug in hetmem: a broken invariant or an unexpected error (EX_SOFTWARE of sysexits.h)
 *   130  ^C (interrupt.ts); 141 the reader of our output has gone (main.ts)
 *
 * 1 is left to commands whose answer is "no": a comparison that found a difference, say.
 * A stack is printed only with HETMEM_DEBUG=1; without it the message says how to get one.
 */
import { InvariantError, UserError } from '../base/assert.ts';
import { packageVersion } from './packageRoot.ts';

export const EXIT_BAD_INPUT = 2;
export const EXIT_BUG = 70;

export interface Failure {
  readonly text: string;
  readonly exitCode: number;
}

/** The text for stderr (with its newline) and the exit code for any thrown value. */
export function describeFailure(error: unknown): Failure {
  if (isUserError(error)) {
    return { text: withStack(`hetmem: ${error.message}\n`, error), exitCode: EXIT_BAD_INPUT };
  }
  const what = error instanceof Error ? error.message : String(error);
  const isInvariant = error instanceof Error && nameOf(error) === InvariantError.name;
  const lines = [
    `hetmem: ${isInvariant ? 'broken invariant' : 'unexpected error'}: ${what}`,
    `This is a bug in hetmem ${packageVersion()} (Node ${process.version}).`,
    'Please report it with the command line and its input files.',
  ];
  if (!isDebugging()) lines.push('HETMEM_DEBUG=1 prints where it happened.');
  return { text: withStack(`${lines.join('\n')}\n`, error), exitCode: EXIT_BUG };
}

/** Errors that come out of a worker thread have lost their class, but not always their name. */
function isUserError(error: unknown): error is Error {
  return error instanceof Error && nameOf(error) === UserError.name;
}

function nameOf(error: Error): string {
  if (error instanceof UserError) return UserError.name;
  if (error instanceof InvariantError) return InvariantError.name;
  return error.name;
}

function withStack(text: string, error: unknown): string {
  if (!isDebugging() || !(error instanceof Error)) return text;
  return `${text}${error.stack ?? ''}\n${causeOf(error)}`;
}

function causeOf(error: Error): string {
  return error.cause instanceof Error ? `caused by ${error.cause.stack ?? ''}\n` : '';
}

function isDebugging(): boolean {
  return (process.env.HETMEM_DEBUG ?? '') !== '' && process.env.HETMEM_DEBUG !== '0';
}
