//! When a schedule is due: its cron expression in its time zone, through changes of daylight saving.
//!
//! What names its hours means the clock on the wall: a time that the clock skips is made up for when it goes on, and
//! one that it shows twice counts once. What runs in all hours (`*`, `*/2`) goes on through both.

use chrono::{DateTime, LocalResult, NaiveDateTime, TimeDelta, TimeZone};
use chrono_tz::{TZ_VARIANTS, Tz};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use crate::error::Failure;
use crate::nearest::did_you_mean;

/// The fields of an expression, and what they may hold.
const FIELDS: [(&str, &str); 6] = [
    ("second", "0-59"),
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day of the month", "1-31 or L (the last)"),
    ("month", "1-12 or JAN-DEC"),
    ("day of the week", "0-7 or SUN-SAT, 5#2 (the second Friday), 5L (the last)"),
];
const HOUR: usize = 2;
/// Bytes of an expression, at most.
const BYTES_MAX: usize = 200;
/// The longest time that a clock skips: Samoa once left out a day.
const SKIPPED_MINUTES_MAX: i64 = 25 * 60;

/// The times at which a schedule is due.
#[derive(Debug, Clone)]
pub struct Times {
    cron: Cron,
    zone: Tz,
    /// Whether it names its hours.
    is_by_the_clock: bool,
}

impl Times {
    /// Reads a cron expression of five or six fields (the first of six is the second) and the name of a time zone.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` that says which field is wrong, or which time zone is meant.
    pub fn read(cron: &str, zone: &str) -> Result<Self, Failure> {
        let zone = zone.parse().map_err(|_| {
            let near = did_you_mean(zone, TZ_VARIANTS.iter().map(|known| known.name()));
            let example = if near.is_empty() { ", such as Europe/Berlin" } else { near.as_str() };
            Failure::invalid("timezone", format!("{zone:?} is no time zone of IANA{example}"))
        })?;
        let fields = fields_of(cron)?;
        if let Some(wrong) = (0..fields.len()).find(|at| is_wrong(&fields, *at)) {
            return Err(refused(&fields, wrong));
        }
        let parsed = parser().parse(cron).map_err(|error| Failure::invalid("cron", error.to_string()))?;
        let hour = fields[HOUR + fields.len() - FIELDS.len()];
        let times = Self { cron: parsed, zone, is_by_the_clock: !hour.starts_with('*') };
        // From a leap year on: 29 February comes once in eight years at worst.
        if times.next_after(0).is_none() {
            return Err(Failure::invalid("cron", format!("{cron:?} never comes")));
        }
        Ok(times)
    }

    /// The first time after a moment, both in milliseconds; none when there is none any more.
    pub fn next_after(&self, ms: i64) -> Option<i64> {
        let after = self.zone.timestamp_opt(ms.div_euclid(1000), 0).single()?;
        let next = if self.is_by_the_clock { self.next_by_the_clock(&after) } else { self.next(&after) };
        Some(next?.timestamp().saturating_mul(1000))
    }

    fn next(&self, after: &DateTime<Tz>) -> Option<DateTime<Tz>> {
        self.cron.find_next_occurrence(after, false).ok()
    }

    fn next_by_the_clock(&self, after: &DateTime<Tz>) -> Option<DateTime<Tz>> {
        let mut shown = after.naive_local();
        loop {
            shown = self.cron.find_next_occurrence(&shown, false).ok()?;
            // What the clock shows a second time was due the first time.
            let due = self.moment_of(shown)?;
            if due > *after {
                return Some(due);
            }
        }
    }

    /// When the clock shows this: the first time, or when it has skipped it.
    fn moment_of(&self, shown: NaiveDateTime) -> Option<DateTime<Tz>> {
        match self.zone.from_local_datetime(&shown) {
            LocalResult::Single(moment) | LocalResult::Ambiguous(moment, _) => Some(moment),
            LocalResult::None => {
                let of_minute = shown - TimeDelta::seconds(shown.and_utc().timestamp().rem_euclid(60));
                let mut later =
                    (1..=SKIPPED_MINUTES_MAX).map(|minutes| of_minute + TimeDelta::minutes(minutes));
                later.find_map(|later| self.zone.from_local_datetime(&later).earliest())
            }
        }
    }
}

fn parser() -> CronParser {
    CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build()
}

fn fields_of(cron: &str) -> Result<Vec<&str>, Failure> {
    let fields: Vec<_> = cron.split_whitespace().collect();
    if matches!(fields.len(), 5 | 6) && cron.len() <= BYTES_MAX {
        return Ok(fields);
    }
    let message = format!(
        "must have 5 fields (minute, hour, day, month, day of the week), or 6 with the second first, and has {}",
        fields.len()
    );
    Err(Failure::invalid("cron", message))
}

/// Whether a field makes an expression wrong by itself.
fn is_wrong(fields: &[&str], at: usize) -> bool {
    let mut alone = vec!["*"; fields.len()];
    alone[at] = fields[at];
    let (name, _) = of_field(fields, at);
    // The parser takes names of days and months anywhere, and lists with nothing between two commas.
    let has_letters =
        matches!(name, "second" | "minute" | "hour") && fields[at].contains(char::is_alphabetic);
    has_letters || fields[at].split(',').any(str::is_empty) || parser().parse(&alone.join(" ")).is_err()
}

fn refused(fields: &[&str], at: usize) -> Failure {
    let (name, allowed) = of_field(fields, at);
    let message = format!(
        "the {name} (field {} of {}) is {:?}; allowed: {allowed}, *, lists with commas, ranges such as 1-5, steps such \
         as */5",
        at + 1,
        fields.len(),
        fields[at]
    );
    Failure::invalid("cron", message)
}

/// What a field is called, and what it may hold: of five, the first is the minute.
fn of_field(fields: &[&str], at: usize) -> (&'static str, &'static str) {
    FIELDS[at + FIELDS.len() - fields.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(cron: &str, zone: &str) -> Times {
        Times::read(cron, zone).unwrap()
    }

    /// What comes after a moment, as UTC.
    fn after(times: &Times, moment: &str, count: usize) -> Vec<String> {
        let ms = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis();
        let next = |before: &i64| times.next_after(*before);
        let all = std::iter::successors(next(&ms(moment)), next).take(count);
        all.map(|ms| DateTime::from_timestamp_millis(ms).unwrap().format("%m-%dT%H:%M:%S").to_string())
            .collect()
    }

    #[test]
    fn comes_after() {
        for (cron, zone, moment, expected) in [
            ("*/15 * * * *", "UTC", "2026-01-31T23:40:00.5Z", ["01-31T23:45:00", "02-01T00:00:00"]),
            ("* * * * * *", "UTC", "2026-01-31T23:59:58.999Z", ["01-31T23:59:59", "02-01T00:00:00"]),
            (
                "0 9 * * MON-FRI",
                "America/New_York",
                "2026-01-30T14:00:00Z",
                ["02-02T14:00:00", "02-03T14:00:00"],
            ),
            ("30 0 12 L * *", "Asia/Kolkata", "2026-01-01T00:00:00Z", ["01-31T06:30:30", "02-28T06:30:30"]),
            ("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", ["02-29T00:00:00", "02-29T00:00:00"]),
            ("0 0 13 * 5", "UTC", "2026-03-07T00:00:00Z", ["03-13T00:00:00", "03-20T00:00:00"]),
        ] {
            assert_eq!(after(&times(cron, zone), moment, 2), expected, "{cron} {zone}");
        }
    }

    /// On 29 March 2026 at 01:00 UTC the clock of Berlin goes from 02:00 to 03:00.
    #[test]
    fn a_time_that_the_clock_skips_is_made_up_for() {
        for (cron, moment, expected) in [
            (
                "30 2 * * *",
                "2026-03-28T00:00:00Z",
                vec!["03-28T01:30:00", "03-29T01:00:00", "03-30T00:30:00"],
            ),
            // Two that are skipped are made up for at once.
            (
                "*/30 2 * * *",
                "2026-03-28T01:30:00Z",
                vec!["03-29T01:00:00", "03-30T00:00:00", "03-30T00:30:00"],
            ),
            (
                "0 2,14 * * *",
                "2026-03-28T14:00:00Z",
                vec!["03-29T01:00:00", "03-29T12:00:00", "03-30T00:00:00"],
            ),
            (
                "0 2,3 * * *",
                "2026-03-28T14:00:00Z",
                vec!["03-29T01:00:00", "03-30T00:00:00", "03-30T01:00:00"],
            ),
            ("0 * * * *", "2026-03-28T23:30:00Z", vec!["03-29T00:00:00", "03-29T01:00:00", "03-29T02:00:00"]),
            ("20 30 2 * * *", "2026-03-29T00:59:59Z", vec!["03-29T01:00:00", "03-30T00:30:20"]),
        ] {
            assert_eq!(after(&times(cron, "Europe/Berlin"), moment, expected.len()), expected, "{cron}");
        }
    }

    /// On 25 October 2026 at 01:00 UTC the clock of Berlin goes from 03:00 back to 02:00.
    #[test]
    fn a_time_that_the_clock_shows_twice_counts_once() {
        for (cron, moment, expected) in [
            (
                "30 2 * * *",
                "2026-10-24T00:00:00Z",
                vec!["10-24T00:30:00", "10-25T00:30:00", "10-26T01:30:00"],
            ),
            ("30 2 * * *", "2026-10-25T01:10:00Z", vec!["10-26T01:30:00"]),
            (
                "*/30 2 * * *",
                "2026-10-24T23:00:00Z",
                vec!["10-25T00:00:00", "10-25T00:30:00", "10-26T01:00:00"],
            ),
            (
                "0 2,3 * * *",
                "2026-10-24T23:00:00Z",
                vec!["10-25T00:00:00", "10-25T02:00:00", "10-26T01:00:00"],
            ),
            ("0 * * * *", "2026-10-24T23:30:00Z", vec!["10-25T00:00:00", "10-25T01:00:00", "10-25T02:00:00"]),
            (
                "*/40 * * * *",
                "2026-10-25T00:30:00Z",
                vec!["10-25T00:40:00", "10-25T01:00:00", "10-25T01:40:00"],
            ),
        ] {
            assert_eq!(after(&times(cron, "Europe/Berlin"), moment, expected.len()), expected, "{cron}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (cron, zone, mentions) in [
            ("0 25 * * *", "UTC", "cron: the hour (field 2 of 5) is \"25\"; allowed: 0-23"),
            ("61 * * * * *", "UTC", "the second (field 1 of 6) is \"61\""),
            ("0 0 1 13 *", "UTC", "the month (field 4 of 5) is \"13\""),
            ("MON * * * *", "UTC", "the minute (field 1 of 5) is \"MON\""),
            ("0 0 * * MOO", "UTC", "the day of the week (field 5 of 5)"),
            ("0 0 ä * *", "UTC", "the day of the month (field 3 of 5)"),
            ("1,,2 * * * *", "UTC", "the minute (field 1 of 5)"),
            ("*/0 * * * *", "UTC", "the minute (field 1 of 5)"),
            ("* * * *", "UTC", "must have 5 fields"),
            ("@daily", "UTC", "and has 1"),
            ("", "UTC", "and has 0"),
            ("0 0 0 1 1 * 2030", "UTC", "and has 7"),
            ("0 0 30 2 *", "UTC", "never comes"),
            ("* * * * *", "Europe/Berlni", "did you mean Europe/Berlin?"),
            ("* * * * *", "CEST", "is no time zone of IANA"),
            ("* * * * *", "", "such as Europe/Berlin"),
        ] {
            let said = Times::read(cron, zone).unwrap_err().message;
            assert!(said.contains(mentions), "{cron} {zone}: {said}");
        }
    }
}
