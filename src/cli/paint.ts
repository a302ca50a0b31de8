/**
 * Colour, only where it is wanted: on a terminal, and not when NO_COLOR is set (no-color.org).
 */
import { styleText } from 'node:util';

export type Style = Parameters<typeof styleText>[0];

/** Whether text for `stream` may carry colour. */
export function hasColour(stream: { readonly isTTY?: boolean } = process.stdout): boolean {
  const env = process.env;
  return stream.isTTY === true && (env.NO_COLOR ?? '') === '' && env.TERM !== 'dumb';
}

/** `text` in `style` if `stream` shows colours, else as it is. */
export function paint(style: Style, text: string, stream = process.stdout): string {
  // validateStream: newer Node versions look at stdout by themselves; the question is settled here.
  return hasColour(stream) ? styleText(style, text, { validateStream: false }) : text;
}
