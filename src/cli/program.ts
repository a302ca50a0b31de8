/**
 * The command line as a commander program: its general options, the groups of commands, and how
 * commander reports a mistake. Nothing runs here; main.ts does.
 */
import { Command, type Help } from 'commander';
import { COMMAND_GROUPS, type CommandGroup } from './commands.ts';
import { paint } from './paint.ts';

const DESCRIPTION =
  'An executable model of Linux memory migration between DRAM, CXL and device memory. ' +
  'Replays traces of real programs on modelled machines and compares what policies do.';

const EXAMPLES: readonly (readonly [string, string])[] = [
  ['hetmem start', 'compare policies on shipped traces'],
  ['hetmem record -o sort.hmt -- sort big', 'make a trace of a program'],
  ['hetmem run experiment.yaml', 'machines × policies × traces'],
  ['hetmem help record', 'all about one command'],
];

const NOTES = `Exit codes: 0 done, 1 the answer is no, 2 wrong input, 70 a bug, 130 ^C.
NO_COLOR=1 turns colours off; HETMEM_DEBUG=1 prints the stacks of errors.`;

/** All commands of `groups`, described. It throws CommanderError instead of exiting. */
export function createProgram(
  version: string,
  groups: readonly CommandGroup[] = COMMAND_GROUPS,
): Command {
  const program = new Command('hetmem')
    .description(DESCRIPTION)
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .usage('COMMAND [options]')
    // Options behind `plan zones` are those of zones, even if plan has some of that name.
    .enablePositionalOptions()
    .exitOverride()
    .showHelpAfterError('(add --help for the usage)')
    .configureHelp({ sortSubcommands: false, subcommandTerm, styleTitle })
    .configureOutput({
      outputError: (text, write) => write(text.replace(/^error: /, 'hetmem: ')),
    });
  for (const group of groups) {
    program.commandsGroup(group.heading);
    for (const describe of group.describe) describe(program);
  }
  program.commandsGroup('Help:');
  program.helpCommand('help [command]', 'print the help of a command');
  return program.addHelpText('after', `\n${exampleText()}\n\n${NOTES}`);
}

/** `record [options] <program>` says too much for a list of purposes: the name is enough. */
function subcommandTerm(this: Help, command: Command): string {
  return command.name();
}

function styleTitle(title: string): string {
  return paint('bold', title);
}

function exampleText(): string {
  const width = Math.max(...EXAMPLES.map(([line]) => line.length));
  const lines = EXAMPLES.map(([line, purpose]) => `  ${line.padEnd(width)}  ${purpose}`);
  return [styleTitle('Examples:'), ...lines].join('\n');
}
