/**
 * A priority queue of integers with two keys: the smallest `key` first and, among equal keys, the
 * smallest `tie`. With ties from a counter the order is total: first in, first out. (flatqueue has
 * one key and leaves the order of equals open.)
 *
 * A 4-ary heap in typed columns that double when full; no allocation per entry.
 */

const ARITY_SHIFT = 2;

export class Heap {
  #key: Float64Array;
  #tie: Float64Array;
  #item: Int32Array;
  #length = 0;

  constructor(capacity = 16) {
    const nr = Math.max(1, capacity);
    this.#key = new Float64Array(nr);
    this.#tie = new Float64Array(nr);
    this.#item = new Int32Array(nr);
  }

  get length(): number {
    return this.#length;
  }

  /** Key of the first entry; Infinity when empty. */
  get firstKey(): number {
    return this.#length === 0 ? Number.POSITIVE_INFINITY : this.#key[0];
  }

  /** Item of the first entry; -1 when empty. */
  get firstItem(): number {
    return this.#length === 0 ? -1 : this.#item[0];
  }

  push(key: number, tie: number, item: number): void {
    if (this.#length === this.#item.length) this.#grow();
    let at = this.#length++;
    while (at > 0) {
      const parent = (at - 1) >>> ARITY_SHIFT;
      if (!this.#isBefore(key, tie, parent)) break;
      this.#copyRow(parent, at);
      at = parent;
    }
    this.#key[at] = key;
    this.#tie[at] = tie;
    this.#item[at] = item;
  }

  /** Removes the first entry and returns its item; -1 when empty. */
  pop(): number {
    if (this.#length === 0) return -1;
    const first = this.#item[0];
    const last = --this.#length;
    if (last > 0) this.#sink(this.#key[last], this.#tie[last], this.#item[last]);
    return first;
  }

  clear(): void {
    this.#length = 0;
  }

  /** Puts an entry where the root was, and below everything that comes before it. */
  #sink(key: number, tie: number, item: number): void {
    let at = 0;
    for (;;) {
      const firstChild = (at << ARITY_SHIFT) + 1;
      if (firstChild >= this.#length) break;
      const end = Math.min(firstChild + (1 << ARITY_SHIFT), this.#length);
      let least = firstChild;
      for (let child = firstChild + 1; child < end; child++) {
        if (this.#isBefore(this.#key[child], this.#tie[child], least)) least = child;
      }
      if (this.#isBefore(key, tie, least)) break;
      this.#copyRow(least, at);
      at = least;
    }
    this.#key[at] = key;
    this.#tie[at] = tie;
    this.#item[at] = item;
  }

  #isBefore(key: number, tie: number, row: number): boolean {
    const other = this.#key[row];
    return key < other || (key === other && tie < this.#tie[row]);
  }

  #copyRow(from: number, to: number): void {
    this.#key[to] = this.#key[from];
    this.#tie[to] = this.#tie[from];
    this.#item[to] = this.#item[from];
  }

  #grow(): void {
    const nr = this.#item.length * 2;
    this.#key = grown(this.#key, new Float64Array(nr));
    this.#tie = grown(this.#tie, new Float64Array(nr));
    this.#item = grown(this.#item, new Int32Array(nr));
  }
}

function grown<T extends Float64Array | Int32Array>(old: T, larger: T): T {
  larger.set(old);
  return larger;
}
