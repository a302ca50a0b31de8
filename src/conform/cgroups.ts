/** Control groups of a case by name: cpusets, and which process is in which. */
import { UserError } from '../base/assert.ts';
import {
  attachTask,
  type Cpuset,
  createCpuset,
  type Kernel,
  rootCpuset,
  type Task,
  writeCpusetMems,
} from '../mm/index.ts';
import { EINVAL } from '../uapi/errno.ts';
import { NotModelled } from './inputs.ts';
import { nodeList } from './sysfs.ts';

export class Cgroups {
  readonly #k: Kernel;
  readonly #root: Cpuset;
  readonly #byName: Map<string, Cpuset> = new Map();

  constructor(k: Kernel, isV1: boolean) {
    this.#k = k;
    this.#root = rootCpuset(k, isV1);
    this.#byName.set('/', this.#root);
  }

  create(name: string): void {
    this.#byName.set(name, createCpuset(this.#root));
  }

  enter(task: Task, name: string, place: string): number {
    return attachTask(this.#k, task, this.#find(name, place), this.#root);
  }

  /** 0 or a negative errno. A write of nothing changes nothing; "\n" clears (MP-106a). */
  write(name: string, file: string, value: string, place: string): number {
    const cpuset = this.#find(name, place);
    if (value === '') return 0;
    switch (file) {
      case 'cpuset.mems': {
        const mems = parseNodes(value.trim());
        return mems === null ? -EINVAL : writeCpusetMems(this.#k, cpuset, mems);
      }
      case 'cpuset.memory_migrate':
        if (!cpuset.isV1) throw new NotModelled(`cgroup v2 file ${file}`);
        cpuset.memoryMigrate = value.trim() === '1';
        return 0;
      case 'cpuset.cpus':
        return 0;
      default:
        throw new NotModelled(`cgroup file ${file}`);
    }
  }

  read(name: string, file: string, place: string): string {
    const cpuset = this.#find(name, place);
    if (file === 'cpuset.mems') return nodeList(cpuset.mems);
    if (file === 'cpuset.mems.effective') return nodeList(cpuset.effectiveMems);
    throw new NotModelled(`cgroup file ${file}`);
  }

  #find(name: string, place: string): Cpuset {
    const cpuset = this.#byName.get(name);
    if (cpuset === undefined) throw new UserError(place, `no cgroup ${name}`);
    return cpuset;
  }
}

/** "0-1,3" as a mask; null for what is no node list or names a node no kernel has. */
function parseNodes(text: string): number | null {
  let mask = 0;
  for (const part of text === '' ? [] : text.split(',')) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (match === null) return null;
    const last = Number(match[2] ?? match[1]);
    if (last > 31) return null;
    for (let nid = Number(match[1]); nid <= last; nid++) mask |= 1 << nid;
  }
  return mask;
}
