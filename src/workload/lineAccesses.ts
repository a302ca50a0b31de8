/**
 * Accesses as they are made, for generators that make them by the stretch and give them out by the
 * block: cache lines as words `page * 2 + write`, those that were given out dropped.
 */

/** Lines of a page, as a shift. */
const PAGE_SHIFT = 6;

export class LineAccesses {
  /** Made and not taken: from #from to #to. */
  #words: Uint32Array;
  #from = 0;
  #to = 0;

  /** Room for `capacity` words at first. */
  constructor(capacity: number) {
    this.#words = new Uint32Array(capacity);
  }

  /** Words that nobody took. */
  get count(): number {
    return this.#to - this.#from;
  }

  /** For `n` accesses more. */
  makeRoom(n: number): void {
    if (this.#to + n <= this.#words.length) return;
    const left = this.#words.subarray(this.#from, this.#to);
    if (left.length + n > this.#words.length) this.#words = new Uint32Array(2 * (left.length + n));
    this.#words.set(left);
    this.#to = left.length;
    this.#from = 0;
  }

  /** Preconditions: there is room. */
  read(line: number): void {
    this.#words[this.#to++] = (line >>> PAGE_SHIFT) << 1;
  }

  /** Preconditions: there is room. */
  write(line: number): void {
    this.#words[this.#to++] = ((line >>> PAGE_SHIFT) << 1) | 1;
  }

  /** Fills `words` with the oldest. Preconditions: there are as many. */
  take(words: Uint32Array): void {
    words.set(this.#words.subarray(this.#from, this.#from + words.length));
    this.#from += words.length;
  }
}
