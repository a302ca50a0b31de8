/** The outcome rows of a view: plan rows that are done, copied out of the queue. */
import { resized } from '../../heat/index.ts';
import type { OutcomeTable } from '../../policy/index.ts';
import type { PlanQueue } from './planQueue.ts';

export class OutcomeRows implements OutcomeTable {
  nrRows = 0;
  keyKind = new Uint8Array(64);
  pid = new Int32Array(64);
  page = new Float64Array(64);
  nrPages = new Int32Array(64);
  targetNid = new Int8Array(64);
  reason = new Uint8Array(64);
  status = new Int16Array(64);
  migratedPages = new Int32Array(64);

  /** Replaces the rows by those at the head of `queue` that are done, which it then forgets. */
  take(queue: PlanQueue): void {
    this.nrRows = 0;
    while (queue.isHeadDone) {
      const i = queue.at(queue.head++);
      if (this.nrRows === this.pid.length) this.#grow();
      const row = this.nrRows++;
      this.keyKind[row] = queue.keyKind[i];
      this.pid[row] = queue.pid[i];
      this.page[row] = queue.page[i];
      this.nrPages[row] = queue.nrPages[i];
      this.targetNid[row] = queue.targetNid[i];
      this.reason[row] = queue.reason[i];
      this.status[row] = queue.status[i];
      this.migratedPages[row] = queue.migratedPages[i];
    }
  }

  #grow(): void {
    const n = this.pid.length * 2;
    this.keyKind = resized(this.keyKind, new Uint8Array(n));
    this.pid = resized(this.pid, new Int32Array(n));
    this.page = resized(this.page, new Float64Array(n));
    this.nrPages = resized(this.nrPages, new Int32Array(n));
    this.targetNid = resized(this.targetNid, new Int8Array(n));
    this.reason = resized(this.reason, new Uint8Array(n));
    this.status = resized(this.status, new Int16Array(n));
    this.migratedPages = resized(this.migratedPages, new Int32Array(n));
  }
}
