//! Times as Optuna writes them, in microseconds since 1970 (UTC) here.

use chrono::{DateTime, NaiveDateTime};

/// As Optuna 5 keeps times in its tables: UTC without saying so.
pub(super) fn write(us: i64) -> Option<String> {
    Some(DateTime::from_timestamp_micros(us)?.format("%Y-%m-%d %H:%M:%S%.6f").to_string())
}

/// Reads a time with or without a zone; without, it is taken as UTC.
pub(super) fn read(text: &str) -> Result<i64, String> {
    let text = text.trim();
    let zoned = DateTime::parse_from_rfc3339(text).map(|time| time.timestamp_micros());
    let naive =
        |pattern| NaiveDateTime::parse_from_str(text, pattern).map(|time| time.and_utc().timestamp_micros());
    zoned
        .or_else(|_| naive("%Y-%m-%d %H:%M:%S%.f"))
        .or_else(|_| naive("%Y-%m-%dT%H:%M:%S%.f"))
        .map_err(|_| format!("expected a date and time, found {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_tables_and_journals() {
        let us = 1_795_271_119_863_602;
        assert_eq!(write(us).unwrap(), "2026-11-21 14:25:19.863602");
        for text in [
            "2026-11-21 14:25:19.863602",
            "2026-11-21T14:25:19.863602",
            "2026-11-21T14:25:19.863602+00:00",
            "2026-11-21T16:25:19.863602+02:00",
        ] {
            assert_eq!(read(text), Ok(us), "{text}");
        }
        assert_eq!(read("2026-11-21 14:25:19"), Ok(1_795_271_119_000_000));
        assert!(read("yesterday").unwrap_err().contains("found \"yesterday\""));
    }
}
