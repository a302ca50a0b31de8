/**
 * What an importer is: it knows its format when it sees it, makes a header, and feeds accesses.
 *
 * To add a format, copy lackey.ts and put it into the list of guess.ts.
 */
import type { ByteSource } from '../byteStream.ts';
import type { TraceHeader } from '../header.ts';
import type { ImportFeed } from './importFeed.ts';

/** Yields the bytes of the input done so far, now and then: the caller may report or give up. */
export type ImportSteps = Generator<number, void, void>;

export interface ImportFormat {
  /** As the command line calls it. */
  readonly name: string;
  /** Longest slice in clock units: inside a slice time is a straight line. */
  readonly spanMax: number;
  /** Whether a file that begins like this (as Latin-1 text) is of this format. */
  sniff(head: string): boolean;
  /** Provenance as far as the beginning tells; the caller fills in what the user said. */
  header(head: string): TraceHeader;
  /**
   * Feeds the whole source. Errors: UserError with file:line.
   */
  run(source: ByteSource, feed: ImportFeed, header: TraceHeader): ImportSteps;
}
