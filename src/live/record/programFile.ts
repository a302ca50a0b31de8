/**
 * Which file QEMU has to run for a command as a shell would understand it.
 *
 * QEMU's user emulation takes the path of an ELF file: PATH is searched and `#!` lines are followed
 * here. Errors name what cannot be recorded: other architectures, files that are no programs.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { UserError } from '../../base/assert.ts';
import { findExecutable } from './nativeBuild.ts';

const HEAD_BYTES = 256;
const ELF_MAGIC = 0x464c457f;
const ELF_CLASS_64 = 2;
/** e_machine of x86-64 (include/uapi/linux/elf-em.h). */
const EM_X86_64 = 62;
/** BINPRM_MAX_RECURSION is 4 in Linux (fs/exec.c). */
const INTERPRETERS_MAX = 4;

export interface ProgramFile {
  /** The ELF file to run. */
  readonly path: string;
  /** Its arguments, without argv[0]. */
  readonly args: readonly string[];
}

/** Errors: UserError if `command` is not found, not executable or not an x86-64 program. */
export function resolveProgram(command: string, args: readonly string[]): ProgramFile {
  let program: ProgramFile = { path: command, args };
  for (let depth = 0; depth <= INTERPRETERS_MAX; depth++) {
    const path = findExecutable(program.path);
    if (path === null) {
      const remedy =
        'check the name; a program of this folder is ./NAME, and it must be executable';
      throw new UserError(program.path, 'no such program', remedy);
    }
    const head = readHead(path);
    if (head.length >= 20 && head.readUInt32LE(0) === ELF_MAGIC) {
      checkElf(path, head);
      return { path, args: program.args };
    }
    program = interpreterOf(path, head, program.args);
  }
  throw new UserError(command, 'is a script whose interpreter is a script, too many times over');
}

function checkElf(path: string, head: Buffer): void {
  if (head[4] === ELF_CLASS_64 && head.readUInt16LE(18) === EM_X86_64) return;
  throw new UserError(path, 'is not an x86-64 program', 'only those can be recorded');
}

function interpreterOf(path: string, head: Buffer, args: readonly string[]): ProgramFile {
  const line = head.toString('latin1').split('\n', 1)[0] ?? '';
  const match = /^#!\s*(\S+)(?:\s+(.*\S))?\s*$/.exec(line);
  if (match === null) throw new UserError(path, 'is neither an ELF program nor a #! script');
  const interpreter = match[1]!;
  const argument = match[2];
  // `#!/usr/bin/env python3`: env would exec, which is not followed.
  if (/\/env$/.test(interpreter) && argument !== undefined && !argument.startsWith('-')) {
    return { path: argument, args: [path, ...args] };
  }
  return {
    path: interpreter,
    args: [...(argument === undefined ? [] : [argument]), path, ...args],
  };
}

function readHead(path: string): Buffer {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    throw new UserError(path, 'may not be read', 'check its permissions');
  }
  try {
    const head = Buffer.alloc(HEAD_BYTES);
    return head.subarray(0, readSync(fd, head, 0, HEAD_BYTES, 0));
  } finally {
    closeSync(fd);
  }
}
