/** Moments by the clocks of other places. */

/** A moment as the clock of a time zone shows it; in UTC where the browser does not know the zone. */
export function inZone(at: string, timeZone: string): string {
  const form = { weekday: "short", day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" } as const;
  try {
    return new Intl.DateTimeFormat("en-GB", { ...form, timeZone }).format(new Date(at));
  } catch {
    return `${new Intl.DateTimeFormat("en-GB", { ...form, timeZone: "UTC" }).format(new Date(at))} UTC`;
  }
}

/** The time zones that the browser knows, and the one it is in first. */
export function timeZones(): string[] {
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return [...new Set(["UTC", own, ...Intl.supportedValuesOf("timeZone")])];
}
