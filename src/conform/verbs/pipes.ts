/** Verbs of pipes: vmsplice pipe.open pipe.read pipe.write pipe.close. */
import { PAGE_SIZE } from '../../base/units.ts';
import { FAULT_ERROR, LOAD_FAILED, loadWord, storeWord } from '../../mm/index.ts';
import { allocPipeBuffer, vmsplice } from '../../syscalls/index.ts';
import { EFAULT } from '../../uapi/errno.ts';
import type { Fields } from '../caseFile.ts';
import { wordOfPage } from '../content.ts';
import type { Inputs } from '../inputs.ts';
import { returned } from '../outcome.ts';
import type { Process } from '../process.ts';
import type { VerbTable } from '../verbTypes.ts';
import type { World } from '../world.ts';

function doVmsplice(world: World, process: Process, inputs: Inputs): Fields {
  const len = world.count(inputs.get('n'), inputs.place) * PAGE_SIZE;
  const address = process.address(inputs);
  const splice = (name: string): number => {
    const pages = world.references.open(process, `pipe ${name}`, 'pipe (vmsplice)', false);
    return vmsplice(world.k, process.task, address, len, pages);
  };
  if (!inputs.has('repeat')) return returned(splice(inputs.string('pipe')));
  let ok = 0;
  for (let i = 0; i < inputs.integer('repeat'); i++) if (splice(`each ${i}`) === len) ok++;
  return { ok };
}

/** Pipes with bytes in them: a page of the kernel each, under the policy of the writer. */
function doOpen(world: World, process: Process, inputs: Inputs): Fields {
  const pipes = inputs.integerOr('repeat', 1);
  const nrPages = Math.ceil(inputs.integerOr('write_bytes', 0) / PAGE_SIZE);
  let opened = 0;
  for (; opened < pipes; opened++) {
    const own = inputs.has('repeat') ? `opened ${opened}` : inputs.string('pipe');
    const pages = world.references.open(process, `pipe ${own}`, 'pipe (write)', false);
    for (let n = 0; n < nrPages; n++) {
      const page = allocPipeBuffer(world.k, process.task);
      if (page < 0) return { opened };
      pages.push(page);
    }
  }
  return { opened };
}

/** read(2) out of the pipe: the kernel stores into the page. */
function doRead(world: World, process: Process, inputs: Inputs): Fields {
  const page = inputs.integer('page');
  const vpn = process.region(inputs.string('into'), inputs.place).start + page;
  const outcome = storeWord(world.k, process.task, vpn, wordOfPage(page));
  return returned((outcome & FAULT_ERROR) !== 0 ? -EFAULT : inputs.integer('bytes'));
}

/** write(2) into the pipe: the kernel loads from the page. */
function doWrite(world: World, process: Process, inputs: Inputs): Fields {
  const region = process.region(inputs.string('out_of'), inputs.place);
  const word = loadWord(world.k, process.task, region.start + inputs.integer('page'));
  return returned(word === LOAD_FAILED ? -EFAULT : inputs.integer('bytes'));
}

export const PIPE_VERBS: VerbTable = {
  vmsplice: doVmsplice,
  'pipe.open': doOpen,
  'pipe.read': doRead,
  'pipe.write': doWrite,
  'pipe.close': (world, process, inputs) => {
    world.references.close(process, `pipe ${inputs.string('pipe')}`);
    return {};
  },
};
