/** `--kernel VERSION`: a version of Linux that is modelled. */
import { UserError } from '../base/assert.ts';
import { isKernelVersion, KERNEL_VERSIONS, type KernelVersion } from '../hw/index.ts';

/** The versions of `--kernel`, where all means every one. Errors: UserError lists what is known. */
export function kernelsOf(asked: string): readonly KernelVersion[] {
  return asked === 'all' ? KERNEL_VERSIONS : [kernelOf(asked, ', or all')];
}

export function kernelOf(asked: string, orElse = ''): KernelVersion {
  if (isKernelVersion(asked)) return asked;
  const known = `one of ${KERNEL_VERSIONS.join(', ')}${orElse}`;
  throw new UserError(`--kernel ${asked}`, 'not a version that is modelled', known);
}
