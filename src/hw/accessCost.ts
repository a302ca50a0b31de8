/**
 * What an access costs now: loaded latency of every (CPU node, memory node) path.
 *
 * Real thing: a load that misses the caches crosses links (UPI, CXL port, switch) to a memory
 * device; each of them queues as it gets busy (loadedLatency.ts).
 * How we model it: a path costs its unloaded latency times the factor of the busiest of its device
 * and links. Traffic is collected during a quantum and becomes the factors of the next one.
 * Order: replay adds its accesses (addAccess) and migration its copies (addCopyTraffic), then
 * endQuantum() computes, clears, and the new readNs/writeNs hold until the next endQuantum().
 * Index: slot = cpuNode * nrNodes + nid, where cpuNode counts the nodes with CPUs (cpuNodeNid).
 * Deterministic: + - * / sqrt only; nothing is allocated after construction.
 * Not modelled: request queues shared between tiers (a slow tier's requests filling the cores' and
 * the uncore's buffers before DRAM's); channel and bank conflicts.
 */
import { assert } from '../base/assert.ts';
import type { Bytes, Nanoseconds, Nid } from '../base/units.ts';
import { assertCurve, steadyFactor } from './loadedLatency.ts';
import type { LoadedLatencyCurve, MachineSpec, NodePerf } from './machineSpec.ts';
import { accessCoordinates, cpuNids, isOnPath } from './topology.ts';

/** Sustained peak (bytes per ns) of a mix with `readShare` (0 to 1) of the bytes read. */
export function mixedBandwidth(perf: NodePerf, readShare: number): number {
  const at = readShare * 4;
  const lower = at >= 4 ? 3 : Math.floor(at);
  const from = perf.mixBandwidth[lower]!;
  const to = perf.mixBandwidth[lower + 1]!;
  return perf.readBandwidth * (from + (to - from) * (at - lower));
}

export class AccessCost {
  readonly nrNodes: number;
  readonly nrCpuNodes: number;
  /** cpuNode -> nid. */
  readonly cpuNodeNid: Int32Array;
  /** nid -> cpuNode | -1. */
  readonly cpuNodeOfNid: Int32Array;
  /** CPU number -> cpuNode | -1. */
  readonly cpuNodeOfCpu: Int32Array;
  /** slot -> latency of a read or write in this quantum, ns. Written by endQuantum only. */
  readonly readNs: Float64Array;
  readonly writeNs: Float64Array;
  /** slot -> latency on an idle machine, ns. */
  readonly unloadedReadNs: Float64Array;
  readonly unloadedWriteNs: Float64Array;
  /** slot -> bytes in this quantum. Written by addAccess; cleared by endQuantum. */
  readonly readBytes: Float64Array;
  readonly writeBytes: Float64Array;

  /** nid -> bytes read and written in all quanta that ended. */
  readonly totalBytes: Float64Array;

  readonly #spec: MachineSpec;
  /** Resources: nodes first (index = nid), then links. */
  readonly #nrResources: number;
  readonly #curves: readonly LoadedLatencyCurve[];
  /** Resource -> share of its peak lost by overload (links: none). */
  readonly #overloadLoss: Float64Array;
  /** slot * nrLinks + link -> 1 if the link is on the slot's path. */
  readonly #onPath: Uint8Array;
  /** Resource -> factor in force, utilisation of the last quantum. */
  readonly #factor: Float64Array;
  readonly #utilisation: Float64Array;
  /** Resource -> bytes in the running quantum, summed up by endQuantum. */
  readonly #resourceRead: Float64Array;
  readonly #resourceWrite: Float64Array;
  /** srcNid * nrNodes + dstNid -> the CPU node that copies cheapest. */
  readonly #copier: Int32Array;
  /** Read plus write latency of the default DRAM path: what copyBandwidth refers to. */
  readonly #dramRoundNs: Nanoseconds;

  /** Preconditions: `spec` passed the checks of a machine file (dense nids, a CPU node). */
  constructor(spec: MachineSpec) {
    const nrNodes = spec.nodes.length;
    const nids = cpuNids(spec);
    const nrLinks = spec.links.length;
    const nrSlots = nids.length * nrNodes;
    assert(nids.length > 0, 'AccessCost: the machine has a CPU node');
    assert(
      spec.nodes.every((node, i) => node.nid === i),
      'AccessCost: nids are 0, 1, 2 ...',
    );
    this.#spec = spec;
    this.nrNodes = nrNodes;
    this.nrCpuNodes = nids.length;
    this.cpuNodeNid = Int32Array.from(nids);
    this.cpuNodeOfNid = new Int32Array(nrNodes).fill(-1);
    for (const [cpuNode, nid] of nids.entries()) this.cpuNodeOfNid[nid] = cpuNode;
    this.cpuNodeOfCpu = cpuNodeOfCpu(spec, this.cpuNodeOfNid);
    this.#curves = [...spec.nodes.map((n) => n.perf.curve), ...spec.links.map((l) => l.curve)];
    for (const curve of this.#curves) assertCurve(curve);
    this.#nrResources = nrNodes + nrLinks;
    this.#overloadLoss = new Float64Array(this.#nrResources);
    for (const node of spec.nodes) this.#overloadLoss[node.nid] = node.perf.overloadLoss ?? 0;
    this.#factor = new Float64Array(this.#nrResources).fill(1);
    this.#utilisation = new Float64Array(this.#nrResources);
    this.#resourceRead = new Float64Array(this.#nrResources);
    this.#resourceWrite = new Float64Array(this.#nrResources);
    this.unloadedReadNs = new Float64Array(nrSlots);
    this.unloadedWriteNs = new Float64Array(nrSlots);
    this.readBytes = new Float64Array(nrSlots);
    this.writeBytes = new Float64Array(nrSlots);
    this.totalBytes = new Float64Array(nrNodes);
    this.#onPath = new Uint8Array(nrSlots * nrLinks);
    for (let slot = 0; slot < nrSlots; slot++) {
      const cpuNid = nids[Math.floor(slot / nrNodes)]!;
      const nid = slot % nrNodes;
      const path = accessCoordinates(spec, cpuNid, nid);
      this.unloadedReadNs[slot] = path.readLatencyNs;
      this.unloadedWriteNs[slot] = path.writeLatencyNs;
      for (const [i, link] of spec.links.entries()) {
        this.#onPath[slot * nrLinks + i] = isOnPath(link, cpuNid, nid) ? 1 : 0;
      }
    }
    this.readNs = this.unloadedReadNs.slice();
    this.writeNs = this.unloadedWriteNs.slice();
    this.#copier = this.#chooseCopiers();
    this.#dramRoundNs = this.#defaultDramRoundNs();
  }

  /** Adds one access or many of a slot: what the replay loop calls. */
  addAccess(slot: number, readBytes: Bytes, writeBytes: Bytes): void {
    this.readBytes[slot] = this.readBytes[slot]! + readBytes;
    this.writeBytes[slot] = this.writeBytes[slot]! + writeBytes;
  }

  /** Adds traffic of CPUs of `cpuNode` to memory of `nid`. */
  addTraffic(cpuNode: number, nid: Nid, readBytes: Bytes, writeBytes: Bytes): void {
    this.addAccess(cpuNode * this.nrNodes + nid, readBytes, writeBytes);
  }

  /** Adds the traffic of copying `bytes`, done by the CPUs that copyNs() assumes. */
  addCopyTraffic(srcNid: Nid, dstNid: Nid, bytes: Bytes): void {
    const cpuNode = this.#copier[srcNid * this.nrNodes + dstNid]!;
    this.addTraffic(cpuNode, srcNid, bytes, 0);
    this.addTraffic(cpuNode, dstNid, 0, bytes);
  }

  /**
   * Ends a quantum of `durationNs`: its traffic decides the latencies of the next one, and is
   * cleared.
   * Preconditions: durationNs > 0.
   */
  endQuantum(durationNs: Nanoseconds): void {
    assert(durationNs > 0, 'endQuantum: a quantum lasts');
    this.#sumTraffic();
    const { nodes, links } = this.#spec;
    for (let r = 0; r < this.#nrResources; r++) {
      const read = this.#resourceRead[r]!;
      const write = this.#resourceWrite[r]!;
      let busy = 0;
      if (read + write > 0) {
        if (r < this.nrNodes) {
          const peak = mixedBandwidth(nodes[r]!.perf, read / (read + write));
          busy = (read + write) / (peak * durationNs);
        } else {
          // A link is full duplex: each direction has its own wires.
          const link = links[r - this.nrNodes]!;
          const busyRead = read / (link.readBandwidth * durationNs);
          const busyWrite = write / (link.writeBandwidth * durationNs);
          busy = Math.max(busyRead, busyWrite);
        }
      }
      this.#utilisation[r] = busy;
      const inFlight = busy * this.#factor[r]!;
      this.#factor[r] = steadyFactor(this.#curves[r]!, inFlight, this.#overloadLoss[r]!);
    }
    this.#updateLatencies();
    this.readBytes.fill(0);
    this.writeBytes.fill(0);
  }

  /** Share of the sustained peak that the last quantum used; above 1 = more than it can sustain. */
  utilisation(nid: Nid): number {
    return this.#utilisation[nid]!;
  }

  /** The same for spec.links[link]. */
  linkUtilisation(link: number): number {
    return this.#utilisation[this.nrNodes + link]!;
  }

  /** Latency factor of the node's device now (1 = idle), links not considered. */
  loadFactor(nid: Nid): number {
    return this.#factor[nid]!;
  }

  /**
   * Time one CPU needs to copy `bytes` from `srcNid` to `dstNid` under the present load.
   * A core copies as fast as the lines it keeps in flight return: costs.copyBandwidth is reached
   * when both sides answer like idle local DRAM, and falls as their latencies rise; never above
   * the peak of either side.
   */
  copyNs(srcNid: Nid, dstNid: Nid, bytes: Bytes): Nanoseconds {
    const { nodes, costs } = this.#spec;
    const base = this.#copier[srcNid * this.nrNodes + dstNid]! * this.nrNodes;
    const roundNs = this.readNs[base + srcNid]! + this.writeNs[base + dstNid]!;
    let nsPerByte = roundNs / (this.#dramRoundNs * costs.copyBandwidth);
    const read = 1 / nodes[srcNid]!.perf.readBandwidth;
    const write = 1 / nodes[dstNid]!.perf.writeBandwidth;
    if (nsPerByte < read) nsPerByte = read;
    if (nsPerByte < write) nsPerByte = write;
    return bytes * nsPerByte;
  }

  /** Sums the slots' bytes up for every device and link. */
  #sumTraffic(): void {
    const nrLinks = this.#nrResources - this.nrNodes;
    this.#resourceRead.fill(0);
    this.#resourceWrite.fill(0);
    for (let slot = 0; slot < this.readBytes.length; slot++) {
      const read = this.readBytes[slot]!;
      const write = this.writeBytes[slot]!;
      if (read === 0 && write === 0) continue;
      const nid = slot % this.nrNodes;
      this.#resourceRead[nid] = this.#resourceRead[nid]! + read;
      this.#resourceWrite[nid] = this.#resourceWrite[nid]! + write;
      this.totalBytes[nid] = this.totalBytes[nid]! + read + write;
      for (let link = 0; link < nrLinks; link++) {
        if (this.#onPath[slot * nrLinks + link] === 0) continue;
        const r = this.nrNodes + link;
        this.#resourceRead[r] = this.#resourceRead[r]! + read;
        this.#resourceWrite[r] = this.#resourceWrite[r]! + write;
      }
    }
  }

  /** Applies the factors: the busiest stage of a path queues, the others see its output. */
  #updateLatencies(): void {
    const nrLinks = this.#nrResources - this.nrNodes;
    for (let slot = 0; slot < this.readNs.length; slot++) {
      let factor = this.#factor[slot % this.nrNodes]!;
      for (let link = 0; link < nrLinks; link++) {
        if (this.#onPath[slot * nrLinks + link] === 0) continue;
        const linkFactor = this.#factor[this.nrNodes + link]!;
        if (linkFactor > factor) factor = linkFactor;
      }
      this.readNs[slot] = this.unloadedReadNs[slot]! * factor;
      this.writeNs[slot] = this.unloadedWriteNs[slot]! * factor;
    }
  }

  /** For each pair of nodes, the CPU node with the smallest read plus write latency. */
  #chooseCopiers(): Int32Array {
    const n = this.nrNodes;
    const copiers = new Int32Array(n * n);
    for (let src = 0; src < n; src++) {
      for (let dst = 0; dst < n; dst++) {
        let best = Infinity;
        for (let cpuNode = 0; cpuNode < this.nrCpuNodes; cpuNode++) {
          const ns =
            this.unloadedReadNs[cpuNode * n + src]! + this.unloadedWriteNs[cpuNode * n + dst]!;
          if (ns >= best) continue;
          best = ns;
          copiers[src * n + dst] = cpuNode;
        }
      }
    }
    return copiers;
  }

  /** Local read plus write latency of the fastest CPU node's own memory, else of any memory. */
  #defaultDramRoundNs(): Nanoseconds {
    let best = Infinity;
    let bestLocal = Infinity;
    for (let slot = 0; slot < this.unloadedReadNs.length; slot++) {
      const ns = this.unloadedReadNs[slot]! + this.unloadedWriteNs[slot]!;
      if (ns <= 0) continue;
      const isLocal = this.cpuNodeOfNid[slot % this.nrNodes] === Math.floor(slot / this.nrNodes);
      if (ns < best) best = ns;
      if (isLocal && ns < bestLocal) bestLocal = ns;
    }
    return bestLocal < Infinity ? bestLocal : best;
  }
}

function cpuNodeOfCpu(spec: MachineSpec, ofNid: Int32Array): Int32Array {
  let cpuMax = 0;
  for (const node of spec.nodes) for (const cpu of node.cpus) cpuMax = Math.max(cpuMax, cpu);
  const map = new Int32Array(cpuMax + 1).fill(-1);
  for (const node of spec.nodes) for (const cpu of node.cpus) map[cpu] = ofNid[node.nid]!;
  return map;
}
