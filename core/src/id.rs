//! Ids: UUID version 7 (RFC 9562), so that they sort by time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use uuid::Uuid;

/// A new id. Unlike `Uuid::now_v7` it takes no process-wide lock: every event gets one. The 12
/// bits after the millisecond are its fraction (RFC 9562, section 6.2, method 3), so ids made a
/// microsecond apart still sort by time.
pub fn new_id() -> Uuid {
    let mut random = [0; 10];
    rand::Rng::fill_bytes(&mut rand::rng(), &mut random);
    let now = since_epoch();
    let fraction = (now.subsec_nanos() % 1_000_000) * 4096 / 1_000_000;
    random[..2].copy_from_slice(&(fraction as u16).to_be_bytes());
    uuid::Builder::from_unix_timestamp_millis(now.as_millis() as u64, &random).into_uuid()
}

/// Milliseconds since the Unix epoch.
pub fn unix_ms() -> u64 {
    since_epoch().as_millis() as u64
}

/// A clock before 1970 gives 0: ids stay valid and unique, only their order is lost.
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_of_version_7_and_sort() {
        let ids: Vec<_> = (0..100)
            .map(|_| {
                let id = new_id();
                let start = SystemTime::now();
                while start.elapsed().is_ok_and(|elapsed| elapsed < Duration::from_micros(1)) {}
                id
            })
            .collect();
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
        assert!(ids.is_sorted());
    }
}
