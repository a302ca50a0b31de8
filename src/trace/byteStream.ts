/**
 * Where the bytes of a trace come from and go to: a file (src/live), memory, a browser's File.
 *
 * Both are synchronous, as the replay loop is. Errors of the medium (unreadable file, full disk)
 * are UserErrors thrown by the implementation, which knows the name.
 */

/** Random-access bytes. */
export interface ByteSource {
  /** For messages: the file's path. */
  readonly name: string;
  readonly sizeBytes: number;
  /** Fills `into` from `offset`; returns the bytes read, fewer only at the end. */
  read(offset: number, into: Uint8Array): number;
}

/** Takes bytes in order. The bytes belong to the caller again when `write` returns. */
export interface ByteSink {
  write(bytes: Uint8Array): void;
}

/** A byte string as a source. */
export class MemorySource implements ByteSource {
  readonly name: string;
  readonly sizeBytes: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, name = 'memory') {
    this.name = name;
    this.#bytes = bytes;
    this.sizeBytes = bytes.length;
  }

  read(offset: number, into: Uint8Array): number {
    const part = this.#bytes.subarray(offset, Math.min(offset + into.length, this.sizeBytes));
    into.set(part);
    return part.length;
  }
}

/** Collects what is written to it. */
export class MemorySink implements ByteSink {
  #bytes = new Uint8Array(4096);
  #length = 0;

  write(bytes: Uint8Array): void {
    if (this.#length + bytes.length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + bytes.length));
      grown.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = grown;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** All that was written so far (a view). */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}
