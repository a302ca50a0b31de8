/**
 * /proc/kpagegen: the generation of every frame, for daemons that migrate by move_phys_pages2. Our
 * own extension, as the call is; no Linux has it. PP-60, PP-73.
 *
 * A u32 a PFN, up to the last PFN rounded up to a section; 0 where no page is. As with kpagecount
 * offsets and lengths are multiples of 8, so that two PFNs are read at a time (HS-11, HS-12).
 */
import { CAP_SYS_ADMIN, type Kernel, type Task } from '../mm/index.ts';
import { EACCES } from '../uapi/errno.ts';
import { maxDumpPfn, presentFrame } from './kpageFile.ts';
import { readWords, WORD_BYTES, type Words, wordRange } from './wordFile.ts';

const PFNS_PER_WORD = 2;

/** An open kpagegen. */
export class KpagegenFile {
  readonly #k: Kernel;

  constructor(k: Kernel) {
    this.#k = k;
  }

  get sizeBytes(): number {
    return (maxDumpPfn(this.#k) / PFNS_PER_WORD) * WORD_BYTES;
  }

  /**
   * Generations of `length` bytes from `offset`, 4 bytes a PFN; none past the end. Errors: -EINVAL
   * unless both are multiples of 8.
   */
  read(offset: number, length: number): Words | number {
    const nrWords = this.sizeBytes / WORD_BYTES;
    return readWords(wordRange(offset, length, nrWords), (word) => {
      const pfn = PFNS_PER_WORD * word;
      return { low: generationAt(this.#k, pfn), high: generationAt(this.#k, pfn + 1) };
    });
  }
}

/** -EACCES without CAP_SYS_ADMIN, whoever asks. */
export function openKpagegen(k: Kernel, opener: Task): KpagegenFile | number {
  return opener.capable(CAP_SYS_ADMIN) ? new KpagegenFile(k) : -EACCES;
}

function generationAt(k: Kernel, pfn: number): number {
  const frame = presentFrame(k, pfn);
  return frame < 0 ? 0 : k.frames.generation[frame];
}
