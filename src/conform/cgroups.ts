/** Control groups of a case by name: cpusets, and which process is in which. */
import { UserError } from '../base/assert.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { nodeList, parseBitmapList, rangeList } from '../hw/index.ts';
import {
  type AddressSpace,
  type AnonVma,
  attachTask,
  type Charged,
  type Cpuset,
  createCpuset,
  type Kernel,
  type MappedFile,
  memoryReclaim,
  rootCpuset,
  SWAPPINESS_ANON_ONLY,
  type Task,
  writeCpusetMems,
} from '../mm/index.ts';
import { EACCES, EBUSY, EEXIST, EINVAL, ENOENT, ENOSPC } from '../uapi/errno.ts';
import { MAX_NUMNODES } from '../uapi/mempolicy.ts';
import { NotModelled } from './inputs.ts';

/** MAX_NUMNODES of an x86-64 distribution: what a node list may name, though none has memory. */
const NODE_MASK_BITS = 1024;

export class Cgroups {
  readonly #k: Kernel;
  readonly #root: Cpuset;
  readonly #byName: Map<string, Cpuset> = new Map();
  readonly #fileOwner: Map<number, Cpuset> = new Map();
  readonly #anonOwner: Map<AnonVma, Cpuset> = new Map();
  /** cpuset.cpus as written, ascending: nothing in the model runs on one CPU or another. */
  readonly #cpus: Map<Cpuset, readonly number[]> = new Map();

  constructor(k: Kernel, legacy: boolean) {
    this.#k = k;
    this.#root = rootCpuset(k, legacy);
    this.#byName.set('/', this.#root);
  }

  /** mkdir, "a/b" below "a": 0, -EEXIST or -ENOENT. */
  create(name: string): number {
    if (this.#byName.has(name)) return -EEXIST;
    const parent = this.#byName.get(name.slice(0, Math.max(0, name.lastIndexOf('/'))) || '/');
    if (parent === undefined) return -ENOENT;
    this.#byName.set(name, createCpuset(parent));
    return 0;
  }

  /** cpuset_can_attach: a v1 cpuset needs CPUs, too. */
  enter(task: Task, name: string, place: string): number {
    const cpuset = this.#find(name, place);
    if (cpuset.legacy && this.#effectiveCpus(cpuset).length === 0) return -ENOSPC;
    this.#keepCharges(task);
    return attachTask(this.#k, task, cpuset);
  }

  /** 0 or a negative errno. A write of nothing changes nothing; "\n" clears (MP-106a). */
  write(name: string, file: string, value: string, writer: Task, place: string): number {
    const cpuset = this.#find(name, place);
    if (value === '') return 0;
    switch (file) {
      case 'cpuset.mems':
        return this.#writeMems(cpuset, value);
      case 'cpuset.memory_migrate':
        if (!cpuset.legacy) throw new NotModelled(`cgroup v2 file ${file}`);
        if (!/^\d+$/.test(value.trim())) return -EINVAL;
        cpuset.memoryMigrate = Number(value) !== 0;
        return 0;
      case 'cpuset.cpus':
        return this.#writeCpus(cpuset, value);
      case 'memory.reclaim':
        return this.#reclaim(cpuset, value, writer);
      default:
        throw new NotModelled(`cgroup file ${file}`);
    }
  }

  /** update_nodemask. The root of v2 has no such file. */
  #writeMems(cpuset: Cpuset, value: string): number {
    if (cpuset === this.#root) return cpuset.legacy ? -EACCES : -ENOENT;
    const nids = parseBitmapList(value, NODE_MASK_BITS);
    if (typeof nids === 'number') return nids;
    if (nids.some((nid) => nid >= MAX_NUMNODES)) return -EINVAL;
    const mems = nids.reduce((mask, nid) => mask | (1 << nid), 0);
    return writeCpusetMems(this.#k, cpuset, mems);
  }

  /** update_cpumask; on v1 between the CPUs of the parent and those of the children. */
  #writeCpus(cpuset: Cpuset, value: string): number {
    if (cpuset === this.#root) return cpuset.legacy ? -EACCES : -ENOENT;
    const all = this.#allCpus();
    const cpus = parseBitmapList(value, all[all.length - 1] + 1);
    if (typeof cpus === 'number') return cpus;
    if (!isSubset(cpus, all)) return -EINVAL;
    if (cpuset.legacy) {
      const isUsed = cpuset.children.some((child) => !isSubset(this.#effectiveCpus(child), cpus));
      if (isUsed) return -EBUSY;
      if (!isSubset(cpus, this.#effectiveCpus(cpuset.parent!))) return -EACCES;
      if (cpus.length === 0 && this.#tasksOf(cpuset).length > 0) return -ENOSPC;
    }
    this.#cpus.set(cpuset, cpus);
    return 0;
  }

  /** On v2 those of the parent if none were written, or none of them are there. */
  #effectiveCpus(cpuset: Cpuset): readonly number[] {
    if (cpuset === this.#root) return this.#allCpus();
    const own = this.#cpus.get(cpuset) ?? [];
    if (cpuset.legacy) return own;
    const above = this.#effectiveCpus(cpuset.parent!);
    const both = own.filter((cpu) => above.includes(cpu));
    return both.length > 0 ? both : above;
  }

  /** What a task has touched stays charged to the cgroup that it leaves. */
  #keepCharges(task: Task): void {
    for (const vma of task.mm?.vmas ?? []) {
      const { anonVma } = vma;
      if (anonVma === null || this.#anonOwner.has(anonVma)) continue;
      this.#anonOwner.set(anonVma, task.cpuset ?? this.#root);
    }
  }

  /** A file that a task of the cgroup fills is charged to it. */
  chargeFile(file: MappedFile, task: Task): void {
    this.#fileOwner.set(file.id, task.cpuset ?? this.#root);
  }

  #reclaim(cgroup: Cpuset, value: string, writer: Task): number {
    const request = parseReclaim(value);
    if (request === null) return -EINVAL;
    const swappiness = request.swappiness ?? this.#k.sysctl.swappiness;
    const nodes = cgroup.effectiveMems;
    const charged = this.#chargedTo(cgroup);
    return memoryReclaim(this.#k, writer.cpuNid, request.pages, charged, nodes, swappiness);
  }

  /**
   * Anonymous pages by the processes that may map them, areas touched before a change of cgroup by
   * the old one; pages of files by who filled the file.
   */
  #chargedTo(cgroup: Cpuset): Charged {
    const { folios, tasks, anonVmas } = this.#k;
    const spaces = new Set<AddressSpace | null>();
    for (const task of tasks.values()) {
      if ((task.cpuset ?? this.#root) === cgroup) spaces.add(task.mm);
    }
    return (head) => {
      if (folios.isAnon(head)) {
        const anonVma = anonVmas[folios.mappingId(head)];
        if (anonVma === null) return false;
        const owner = this.#anonOwner.get(anonVma);
        if (owner !== undefined) return owner === cgroup;
        return anonVma.vmas.some((vma) => spaces.has(vma.mm));
      }
      return this.#fileOwner.get(folios.mappingId(head)) === cgroup;
    };
  }

  read(name: string, file: string, place: string): string | number {
    const cpuset = this.#find(name, place);
    const isRoot = cpuset === this.#root;
    switch (file) {
      case 'cpuset.mems':
        return isRoot && !cpuset.legacy ? -ENOENT : nodeList(cpuset.mems);
      case 'cpuset.cpus':
        if (isRoot) return cpuset.legacy ? rangeList(this.#allCpus()) : -ENOENT;
        return rangeList(this.#cpus.get(cpuset) ?? []);
      case cpuset.legacy ? 'cpuset.effective_mems' : 'cpuset.mems.effective':
        return nodeList(cpuset.effectiveMems);
      case cpuset.legacy ? 'cpuset.effective_cpus' : 'cpuset.cpus.effective':
        return rangeList(this.#effectiveCpus(cpuset));
      case 'cpuset.memory_migrate':
        return cpuset.legacy ? (cpuset.memoryMigrate ? '1' : '0') : -ENOENT;
      case 'cgroup.procs':
        return this.#tasksOf(cpuset)
          .filter((task) => task.pid === task.tgid)
          .map((task) => task.pid)
          .join('\n');
      default:
        throw new NotModelled(`cgroup file ${file}`);
    }
  }

  #tasksOf(cpuset: Cpuset): Task[] {
    const tasks = [...this.#k.tasks.values()].filter((task) => !task.exited);
    return tasks.filter((task) => (task.cpuset ?? this.#root) === cpuset);
  }

  /** The machine's CPUs, ascending. */
  #allCpus(): number[] {
    return this.#k.spec.nodes.flatMap((node) => node.cpus).sort((a, b) => a - b);
  }

  #find(name: string, place: string): Cpuset {
    const cpuset = this.#byName.get(name);
    if (cpuset === undefined) throw new UserError(place, `no cgroup ${name}`);
    return cpuset;
  }
}

/** What a write to a reclaim file asks for: "4M", "8M swappiness=max". */
export interface ReclaimRequest {
  readonly pages: number;
  /** null: the system's. */
  readonly swappiness: number | null;
}

const SIZE_UNITS: Readonly<Record<string, number>> = { '': 1, K: 1024, M: 1048576, G: 1073741824 };

export function parseReclaim(value: string): ReclaimRequest | null {
  const match = /^(\d+)([KMG]?)(?:\s+swappiness=(max|\d+))?$/.exec(value.trim());
  if (match === null) return null;
  const pages = Math.floor((Number(match[1]) * SIZE_UNITS[match[2]]) / PAGE_SIZE);
  if (match[3] === undefined) return { pages, swappiness: null };
  const swappiness = match[3] === 'max' ? SWAPPINESS_ANON_ONLY : Number(match[3]);
  return swappiness > SWAPPINESS_ANON_ONLY ? null : { pages, swappiness };
}

/** cpumask_subset. */
function isSubset(some: readonly number[], of: readonly number[]): boolean {
  return some.every((cpu) => of.includes(cpu));
}
