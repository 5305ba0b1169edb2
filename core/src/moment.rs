//! Moments, as the product keeps and writes them: in UTC, to the millisecond.

pub use time::OffsetDateTime as Time;

/// The present in UTC, to the millisecond (what all supported databases keep).
pub fn now() -> Time {
    let now = Time::now_utc();
    now.replace_millisecond(now.millisecond()).expect("a millisecond of now is in range")
}

/// A moment in milliseconds since 1970, as jobs and scripts count them.
pub fn to_ms(time: Time) -> i64 {
    (time.unix_timestamp_nanos() / 1_000_000) as i64
}

/// The moment so many milliseconds after the beginning of 1970; none outside of the years that [`Time`] has.
pub fn from_ms(ms: i64) -> Option<Time> {
    Time::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).ok()
}

/// A moment as text that sorts by time, such as `2026-01-31T12:00:00.000Z`.
pub fn time_text(time: Time) -> String {
    const FORM: &[time::format_description::BorrowedFormatItem<'_>] = time::macros::format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
    );
    time.to_offset(time::UtcOffset::UTC).format(FORM).expect("a moment always has these parts")
}

/// A moment of the years 0 to 9999 in RFC 3339, to the millisecond.
pub(crate) fn parse_time(text: &str) -> Option<Time> {
    let time = Time::parse(text, &time::format_description::well_known::Rfc3339).ok()?;
    let time = time.checked_to_offset(time::UtcOffset::UTC)?;
    (0..=9999).contains(&time.year()).then(|| time.replace_millisecond(time.millisecond()).ok())?
}
