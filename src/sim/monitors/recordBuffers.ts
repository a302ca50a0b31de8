/**
 * Buffers of sampled accesses, one a CPU, of fixed size: a full one drops records until somebody
 * drains it. The PEBS buffer (debug store area) and perf's ring buffer alike. HS-33, HS-35.
 *
 * A record names the page by its virtual address and by the frame it was in, with the content that
 * the frame had at the time of the access.
 */
import type { FrameId, Nanoseconds, Nid, Vpn } from '../../base/units.ts';
import { HeatTable } from '../../heat/index.ts';
import type { Kernel } from '../../mm/index.ts';

export class RecordBuffers {
  /** Drained and not yet collected. */
  readonly drained: HeatTable = new HeatTable();
  lost = 0;
  nrDrained = 0;
  readonly #k: Kernel;
  readonly #capacity: number;
  /** Records name frames instead of pages. */
  readonly #isPhysical: boolean;
  /** Record at cpu * capacity + i. */
  readonly #pid: Int32Array;
  readonly #page: Float64Array;
  readonly #generation: Uint32Array;
  readonly #nid: Int8Array;
  readonly #isWrite: Uint8Array;
  readonly #atNs: Float64Array;
  /** CPU -> records in its buffer. */
  readonly #filled: Int32Array;

  constructor(k: Kernel, nrCpus: number, capacity: number, isPhysical: boolean) {
    const rows = nrCpus * capacity;
    this.#k = k;
    this.#capacity = capacity;
    this.#isPhysical = isPhysical;
    this.#pid = new Int32Array(rows);
    this.#page = new Float64Array(rows);
    this.#generation = new Uint32Array(rows);
    this.#nid = new Int8Array(rows);
    this.#isWrite = new Uint8Array(rows);
    this.#atNs = new Float64Array(rows);
    this.#filled = new Int32Array(nrCpus);
  }

  /** Preconditions: `frame` holds the page. */
  push(
    cpu: number,
    pid: number,
    vpn: Vpn,
    frame: FrameId,
    nid: Nid,
    isWrite: boolean,
    nowNs: Nanoseconds,
  ): void {
    if (this.#filled[cpu] === this.#capacity) {
      this.lost++;
      return;
    }
    const at = cpu * this.#capacity + this.#filled[cpu]++;
    this.#pid[at] = pid;
    this.#page[at] = this.#isPhysical ? this.#k.frames.pfnOf(frame) : vpn;
    this.#generation[at] = this.#isPhysical ? this.#k.frames.generation[frame] : 0;
    this.#nid[at] = nid;
    this.#isWrite[at] = isWrite ? 1 : 0;
    this.#atNs[at] = nowNs;
  }

  /** Empties the buffers into `drained`. */
  drain(): void {
    for (let cpu = 0; cpu < this.#filled.length; cpu++) {
      const base = cpu * this.#capacity;
      const end = base + this.#filled[cpu];
      for (let at = base; at < end; at++) this.#drainRecord(at);
      this.nrDrained += this.#filled[cpu];
      this.#filled[cpu] = 0;
    }
  }

  #drainRecord(at: number): void {
    const write = this.#isWrite[at];
    const page = this.#page[at];
    const [nid, ns] = [this.#nid[at], this.#atNs[at]];
    if (this.#isPhysical) {
      this.drained.seeFrame(page, 1, this.#generation[at], 1 - write, write, nid, ns);
    } else this.drained.see(this.#pid[at], page, 1, 1 - write, write, nid, ns);
  }

  /** A process is gone: its page numbers mean nothing any more. Frames are told by generation. */
  forget(pid: number): void {
    if (this.#isPhysical) return;
    this.drained.forget(pid);
    for (let cpu = 0; cpu < this.#filled.length; cpu++) {
      const base = cpu * this.#capacity;
      let kept = 0;
      for (let i = 0; i < this.#filled[cpu]; i++) {
        if (this.#pid[base + i] === pid) continue;
        this.#pid[base + kept] = this.#pid[base + i];
        this.#page[base + kept] = this.#page[base + i];
        this.#nid[base + kept] = this.#nid[base + i];
        this.#isWrite[base + kept] = this.#isWrite[base + i];
        this.#atNs[base + kept] = this.#atNs[base + i];
        kept++;
      }
      this.#filled[cpu] = kept;
    }
  }
}
