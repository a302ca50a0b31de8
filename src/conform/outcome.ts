/** What a step answers, in the words of case files. */
import { errnoName } from '../uapi/errno.ts';
import type { Fields } from './caseFile.ts';

export const SUCCESS: Fields = { ret: 0 };

/** A call that failed: ret -1 and the errno's name. */
export function failure(result: number): Fields {
  return { ret: -1, errno: errnoName(result) };
}

/** A step that never ends: the process sleeps until somebody answers. */
export function blocked(what: string): Fields {
  return { blocked: what };
}

/** The return value of a call that gives a number. */
export function returned(result: number): Fields {
  return result < 0 ? failure(result) : { ret: result };
}

/** The return value of a call that gives an address: 0 stands for all of them. */
export function returnedAddress(result: number): Fields {
  return result < 0 ? failure(result) : SUCCESS;
}
