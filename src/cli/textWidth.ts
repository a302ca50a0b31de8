/** How wide lines are, and texts broken into such lines. */

/** Columns of the terminal; `otherwise` where there is none: a file has no edge. */
export function terminalWidth(otherwise = Number.POSITIVE_INFINITY): number {
  return process.stdout.isTTY === true ? process.stdout.columns || 80 : otherwise;
}

/** Lines of at most `width` characters (a longer word is one); all but the first are indented. */
export function wrapped(text: string, width: number, indent = ''): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].join(`\n${indent}`);
}
