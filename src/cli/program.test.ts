import { type Command, CommanderError } from 'commander';
import { describe, expect, it } from 'vitest';
import { InvariantError, UserError } from '../base/assert.ts';
import { describeFailure, EXIT_BAD_INPUT, EXIT_BUG } from './failure.ts';
import { createProgram } from './program.ts';

const GROUPS = [
  {
    heading: 'Group one:',
    describe: [
      (program: Command) => {
        program
          .command('run <file>')
          .description('run it')
          .option('--policy <name>')
          .action(() => {});
      },
    ],
  },
  { heading: 'Group two:', describe: [] },
];

function tried(...args: string[]) {
  let text = '';
  const program = createProgram('1.2.3', GROUPS);
  const write = (piece: string) => {
    text += piece;
  };
  for (const command of [program, ...program.commands]) {
    command.configureOutput({ writeOut: write, writeErr: write });
  }
  try {
    program.parse(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return { text, exitCode: error.exitCode };
    throw error;
  }
  return { text, exitCode: 0 };
}

describe('createProgram', () => {
  it('lists commands by group with their purpose, and examples', () => {
    const { text, exitCode } = tried('--help');
    expect(exitCode).toBe(0);
    expect(text).toMatch(/Group one:\n {2}run +run it\n/);
    expect(text).not.toContain('Group two:');
    expect(text).toContain('Examples:\n  hetmem start');
  });

  it('fits a terminal of 80 columns', () => {
    for (const line of tried('--help').text.split('\n')) expect(line.length).toBeLessThan(80);
  });

  it.each([
    [['rnu'], /^hetmem: unknown command 'rnu'\n\(Did you mean run\?\)/],
    [['run', 'x', '--polciy', 'y'], /unknown option '--polciy'\n\(Did you mean --policy\?\)/],
    [['run'], /missing required argument 'file'\n\(add --help for the usage\)/],
  ])('explains the mistake in %j', (args, message) => {
    const { text, exitCode } = tried(...args);
    expect(text).toMatch(message);
    expect(exitCode).not.toBe(0);
  });

  it('prints the version it was given', () => {
    expect(tried('--version').text).toBe('1.2.3\n');
  });
});

describe('describeFailure', () => {
  it('prints a user’s mistake as one line', () => {
    const failure = describeFailure(new UserError('m.yaml:3:5', 'unknown key', 'remove it'));
    expect(failure.text).toBe('hetmem: m.yaml:3:5: unknown key (remove it)\n');
    expect(failure.exitCode).toBe(EXIT_BAD_INPUT);
  });

  it('calls a broken invariant a bug, with the version', () => {
    const failure = describeFailure(new InvariantError('free pages do not add up'));
    expect(failure.text).toMatch(/^hetmem: broken invariant: free pages do not add up\n/);
    expect(failure.text).toMatch(/This is a bug in hetmem \d+\.\d+\.\d+ \(Node v/);
    expect(failure.text).not.toContain(' at ');
    expect(failure.exitCode).toBe(EXIT_BUG);
  });

  it.each([new TypeError('x is undefined'), 'text', undefined])('calls %s a bug', (thrown) => {
    expect(describeFailure(thrown).text).toMatch(/^hetmem: unexpected error: /);
    expect(describeFailure(thrown).exitCode).toBe(EXIT_BUG);
  });
});
