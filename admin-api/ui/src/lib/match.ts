/** Finds by what one remembers of a name: its letters in order, the closer together and the earlier the better. */
export function matches<T>(items: T[], text: string, name: (item: T) => string): T[] {
  const wanted = text.toLowerCase().replace(/\s+/g, "");
  if (!wanted) return items;
  const scored = items.flatMap((item) => {
    const score = distance(name(item).toLowerCase(), wanted);
    return score === undefined ? [] : [{ item, score }];
  });
  return scored.sort((a, b) => a.score - b.score).map(({ item }) => item);
}

/** How far apart the letters stand; nothing if they are not all there. */
function distance(name: string, wanted: string): number | undefined {
  const whole = name.indexOf(wanted);
  if (whole >= 0) return whole / 1000;
  let [at, score] = [-1, 1];
  for (const letter of wanted) {
    const next = name.indexOf(letter, at + 1);
    if (next < 0) return undefined;
    score += next - at;
    at = next;
  }
  return score;
}
