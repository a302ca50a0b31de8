/**
 * Brings traces of older format versions to the present one, one step at a time.
 *
 * Step n turns what version n + 1 wrote into what version n + 2 would have written; a reader
 * applies all steps from the file's version on, so that the rest of the code knows one version.
 * A step sees the header's JSON and the decompressed blocks of each chunk. Version 1 is the first:
 * there is no step yet. FORMATS.md has the changelog.
 */
import { UserError } from '../base/assert.ts';

/** One step. What it does not name stays as it is. */
export interface UpgradeStep {
  header?(json: unknown): unknown;
  block?(chunkType: number, block: number, bytes: Uint8Array): Uint8Array;
}

/** `UPGRADE_STEPS[n]` leads from version n + 1 to n + 2. */
export const UPGRADE_STEPS: readonly UpgradeStep[] = [];

/** The steps from version `version` to the present one, as one. */
export class Upgrade {
  readonly #steps: readonly UpgradeStep[];
  readonly isNeeded: boolean;

  /** Errors: UserError for a version that this program does not know. */
  constructor(version: number, place: string, steps = UPGRADE_STEPS) {
    const newest = steps.length + 1;
    if (version < 1 || version > newest) {
      throw new UserError(
        place,
        `trace format ${version}, this hetmem reads 1 to ${newest}`,
        version > newest ? 'written by a newer hetmem: update this one' : 'not a hetmem trace?',
      );
    }
    this.#steps = steps.slice(version - 1);
    this.isNeeded = this.#steps.length > 0;
  }

  header(json: unknown): unknown {
    let upgraded = json;
    for (const step of this.#steps) upgraded = step.header?.(upgraded) ?? upgraded;
    return upgraded;
  }

  block(chunkType: number, block: number, bytes: Uint8Array): Uint8Array {
    let upgraded = bytes;
    for (const step of this.#steps) upgraded = step.block?.(chunkType, block, upgraded) ?? upgraded;
    return upgraded;
  }
}
