/** The nearest of known words, for errors about misspelt names. */

/** What to do about an unknown word: take the closest known one, else `otherwise` or any known. */
export function suggestion(word: string, known: readonly string[], otherwise?: string): string {
  const near = closestWord(word, known);
  if (near !== undefined) return `did you mean ${near}?`;
  if (otherwise !== undefined) return otherwise;
  const names = known.filter((name) => name !== '');
  return names.length === 0 ? 'there are none' : `known: ${names.join(', ')}`;
}

/** The word of `known` that `word` was probably meant to be, or undefined. */
function closestWord(word: string, known: readonly string[]): string | undefined {
  const wordLower = word.toLowerCase();
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(wordLower, candidate.toLowerCase());
    if (distance >= bestDistance) continue;
    best = candidate;
    bestDistance = distance;
  }
  return best;
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
