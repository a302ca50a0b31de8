/**
 * /sys/devices/system/node (drivers/base/node.c) and /sys/devices/virtual/memory_tiering
 * (mm/memory-tiers.c). OV-1, OV-2, TI-1, TI-2.
 *
 * access0 and access1 are the performance of the best initiators, of any kind and CPUs only: all
 * initiators of the model are CPUs, so they agree. A node whose firmware tells nothing has neither.
 * Not modelled: generic initiators, memory-side caches, links to CPUs and memory blocks.
 */
import type { Nid } from '../base/units.ts';
import { closestCoordinates, maskText, nodeList, rangeList } from '../hw/index.ts';
import type { Kernel } from '../mm/index.ts';
import { ZONE_NORMAL } from '../uapi/zone.ts';
import { type KernelFile, lineFile, textFile } from './kernelFile.ts';
import { formatNodeMeminfo, nodeMeminfoOf } from './meminfo.ts';
import { nodeVmstatText, numastatText } from './vmstatFile.ts';

const NODES = '/sys/devices/system/node';
const TIERS = '/sys/devices/virtual/memory_tiering';

export function nodeFiles(k: Kernel): KernelFile[] {
  const online = k.pm.nodes.filter((node) => node.online).map((node) => node.nid);
  const files: KernelFile[] = [
    lineFile(`${NODES}/has_cpu`, () => nodeList(k.pm.nodesWithCpu)),
    lineFile(`${NODES}/has_memory`, () => nodeList(k.pm.nodesWithMemory)),
    lineFile(`${NODES}/has_normal_memory`, () => rangeList(online.filter((n) => hasNormal(k, n)))),
    lineFile(`${NODES}/online`, () => rangeList(online)),
    lineFile(`${NODES}/possible`, () => rangeList(k.pm.nodes.map((node) => node.nid))),
  ];
  for (const nid of online) files.push(...filesOfNode(k, nid, online), ...accessFiles(k, nid));
  return [...files, ...tierFiles(k)];
}

/** N_NORMAL_MEMORY: memory that the kernel itself may use. */
function hasNormal(k: Kernel, nid: Nid): boolean {
  return k.pm.nodes[nid].zones.some((zone) => zone.type <= ZONE_NORMAL && zone.presentPages > 0);
}

function filesOfNode(k: Kernel, nid: Nid, online: readonly Nid[]): KernelFile[] {
  const at = `${NODES}/node${nid}`;
  const { cpus } = k.pm.nodes[nid];
  const nrCpus = Math.max(...k.pm.nodes.flatMap((node) => node.cpus), 0) + 1;
  return [
    lineFile(`${at}/cpulist`, () => rangeList(cpus)),
    lineFile(`${at}/cpumap`, () => maskText(cpus, nrCpus)),
    lineFile(`${at}/distance`, () => online.map((other) => k.spec.distance[nid][other]).join(' ')),
    textFile(`${at}/meminfo`, () => formatNodeMeminfo(nid, nodeMeminfoOf(k, nid))),
    textFile(`${at}/numastat`, () => numastatText(k, nid)),
    textFile(`${at}/vmstat`, () => nodeVmstatText(k, nid)),
  ];
}

/** Nanoseconds and MB/s. */
function accessFiles(k: Kernel, nid: Nid): KernelFile[] {
  const node = k.spec.nodes.find((candidate) => candidate.nid === nid);
  if (node === undefined || node.abstractDistance !== undefined) return [];
  const seen = closestCoordinates(k.spec, nid);
  const values = {
    read_bandwidth: Math.round(seen.readBandwidth * 1000),
    read_latency: Math.round(seen.readLatencyNs),
    write_bandwidth: Math.round(seen.writeBandwidth * 1000),
    write_latency: Math.round(seen.writeLatencyNs),
  };
  return ['access0', 'access1'].flatMap((access) =>
    Object.entries(values).map(([name, value]) =>
      lineFile(`${NODES}/node${nid}/${access}/initiators/${name}`, () => value),
    ),
  );
}

function tierFiles(k: Kernel): KernelFile[] {
  return k.tiers.tiers.map((tier) =>
    lineFile(`${TIERS}/memory_tier${tier.id}/nodelist`, () => nodeList(tier.nodes)),
  );
}
