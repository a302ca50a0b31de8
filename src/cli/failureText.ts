/** Failed runs for people: each reason once, and below it the runs that it stopped. */
import { type Comparison, failuresByReason } from '../experiment/index.ts';
import { paint } from './paint.ts';

/** Nothing when all runs finished; otherwise one paragraph. */
export function failureText(comparison: Comparison): string[] {
  const reasons = failuresByReason(comparison);
  if (reasons.length === 0) return [];
  const lines = reasons.map(({ message, who }) => `  ${message}\n    ${who.join('\n    ')}`);
  return [`${paint('red', 'Failed:')}\n${lines.join('\n')}\n`];
}
