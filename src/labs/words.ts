/** Words that several labs use for the same thing. */
import { errnoName } from '../uapi/errno.ts';

/** 0 or a negative errno, as a person reads it. */
export function outcomeText(result: number): string {
  return result < 0 ? `-${errnoName(result)}` : 'done';
}

export const BEFORE_AND_AFTER =
  'before: pins stay in ZONE_MOVABLE, as up to Linux 5.12. after: they leave it, as from 5.13 on.';
