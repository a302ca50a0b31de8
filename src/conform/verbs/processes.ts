/** Verbs of processes: fork exit wait setuid dropcap prctl setrlimit sigaction process_vm_readv. */

import { type FrameId, PAGE_SIZE } from '../../base/units.ts';
import { forkTask, pinUserPages, ptraceMayRead, unpinUserPages } from '../../mm/index.ts';
import { exit, waitpid } from '../../syscalls/index.ts';
import { ENOMEM, EPERM, ESRCH } from '../../uapi/errno.ts';
import type { Fields } from '../caseFile.ts';
import { CAPS } from '../caseWords.ts';
import { SAME_WORD, wordOfPage } from '../content.ts';
import type { Inputs } from '../inputs.ts';
import { failure, SUCCESS } from '../outcome.ts';
import { Process } from '../process.ts';
import type { VerbTable } from '../verbTypes.ts';
import type { World } from '../world.ts';

function doFork(world: World, process: Process, inputs: Inputs): Fields {
  const task = forkTask(world.k, process.task);
  if (typeof task === 'number') return failure(-ENOMEM);
  const child = new Process(inputs.string('as'), task);
  process.copyNamesTo(child);
  world.references.inherit(process, child);
  world.devices.inherit(process, child, inputs.place);
  world.processes.set(child.name, child);
  world.programs.useVdso(child);
  return {};
}

function doExit(world: World, process: Process): Fields {
  world.references.closeAll(process);
  exit(world.k, process.task);
  world.devices.closeAll(process);
  return {};
}

function doWait(world: World, process: Process, inputs: Inputs): Fields {
  const child = world.process(inputs.string('for'), inputs.place);
  const pid = waitpid(world.k, process.task, child.task.pid);
  return pid < 0 ? failure(pid) : {};
}

/** All ids at once; the capabilities go, except those kept, and the process is not dumpable. */
function doSetuid(_world: World, process: Process, inputs: Inputs): Fields {
  const { task } = process;
  const uid = inputs.integer('uid');
  task.uid = uid;
  task.euid = uid;
  task.suid = uid;
  task.gid = uid;
  task.egid = uid;
  task.sgid = uid;
  if (uid !== 0) {
    task.caps &= inputs.has('keep_caps') ? inputs.flags('keep_caps', CAPS) : 0;
    task.mm!.dumpable = false;
  }
  return SUCCESS;
}

function doDropcap(_world: World, process: Process, inputs: Inputs): Fields {
  process.task.caps &= ~CAPS[inputs.string('cap')];
  return {};
}

function doPrctl(_world: World, process: Process, inputs: Inputs): Fields {
  process.task.mm!.dumpable = inputs.integer('dumpable') === 1;
  return {};
}

function doSetrlimit(_world: World, process: Process, inputs: Inputs): Fields {
  if (inputs.string('resource') !== 'MEMLOCK') throw inputs.wrong('resource', 'MEMLOCK');
  process.task.rlimitMemlock = inputs.integer('bytes');
  return {};
}

function doSigaction(_world: World, process: Process, inputs: Inputs): Fields {
  process.signals.set(inputs.string('signal'), 0);
  return {};
}

/** Reads pages of another process through pins (slow GUP: PM-6a). `data` as in the look. */
function doProcessVmReadv(world: World, process: Process, inputs: Inputs): Fields {
  const name = inputs.string('pid');
  const pid = world.pidOf(name, inputs.place);
  const task = pid === 0 ? process.task : world.k.tasks.get(pid);
  if (task === undefined || task.mm === null) return failure(-ESRCH);
  if (!ptraceMayRead(process.task, task)) return failure(-EPERM);
  const target = name === 'self' ? process : world.process(name, inputs.place);
  const region = target.region(inputs.string('region'), inputs.place);
  const from = inputs.integer('from');
  const n = world.count(inputs.get('n'), inputs.place);
  const pages: FrameId[] = [];
  const got = pinUserPages(world.k, target.task, region.start + from, n, 0, pages);
  if (got < 0) return failure(got);
  const content = world.k.frames.content!;
  const isIntact = pages.every(
    (page, i) => content[page] === (region.isSame ? SAME_WORD : wordOfPage(from + i)),
  );
  unpinUserPages(world.k, pages);
  const ret = got < n ? got * PAGE_SIZE : inputs.integerOr('bytes', n * PAGE_SIZE);
  return { ret, data: isIntact ? 'intact' : 'changed' };
}

export const PROCESS_VERBS: VerbTable = {
  fork: doFork,
  exit: doExit,
  wait: doWait,
  setuid: doSetuid,
  dropcap: doDropcap,
  prctl: doPrctl,
  setrlimit: doSetrlimit,
  sigaction: doSigaction,
  process_vm_readv: doProcessVmReadv,
};
