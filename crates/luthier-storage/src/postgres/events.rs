//! The events of a study, read and appended with one message to the server each.
//!
//! The messages are texts with several statements, which the server answers at once. They hold numbers, and texts that
//! are escaped; statements with parameters would be a message for each.

use luthier_core::{Event, Recorded, Revision, StorageError, StudyId};
use postgres::{Client, SimpleQueryMessage, SimpleQueryRow};
use postgres_protocol::escape::escape_literal;

use super::connection::{Failure, Server};

/// The rows of each statement of a message.
pub(super) fn answers(client: &mut Client, message: &str) -> Result<Vec<Vec<SimpleQueryRow>>, Failure> {
    let mut answers = Vec::new();
    let mut rows = Vec::new();
    for part in client.simple_query(message)? {
        match part {
            SimpleQueryMessage::Row(row) => rows.push(row),
            SimpleQueryMessage::CommandComplete(_) => answers.push(std::mem::take(&mut rows)),
            _ => {}
        }
    }
    Ok(answers)
}

/// A statement that has a row if there is such a study.
pub(super) fn is_there(study: StudyId) -> String {
    format!("SELECT id FROM studies WHERE id = {}", study.0)
}

/// A number in a column of a row.
fn number<T: std::str::FromStr>(row: &SimpleQueryRow, column: usize) -> Option<T> {
    row.get(column)?.parse().ok()
}

/// Reads the events after a revision, when `before`, a statement with its semicolon or nothing, is done.
pub(super) fn read(
    server: &Server,
    client: &mut Client,
    before: &str,
    study: StudyId,
    after: Revision,
) -> Result<Vec<Recorded>, Failure> {
    let answers = answers(
        client,
        &format!(
            "{before} {}; SELECT revision, at_ms, event FROM events WHERE study = {} AND revision > {} ORDER BY revision",
            is_there(study),
            study.0,
            i64::try_from(after).unwrap_or(i64::MAX)
        ),
    )?;
    let [.., there, rows] = &answers[..] else {
        return Err(damaged(server, study, "was not answered").into());
    };
    if there.is_empty() {
        return Err(StorageError::NoSuchStudy(study).into());
    }
    let mut recorded = Vec::with_capacity(rows.len());
    for (row, expected) in rows.iter().zip(after + 1..) {
        let revision: Revision = number(row, 0).unwrap_or_default();
        if revision != expected {
            let what = format!("expected event {expected}, found event {revision}");
            return Err(damaged(server, study, &what).into());
        }
        let event = serde_json::from_str(row.get(2).unwrap_or_default())
            .map_err(|error| damaged(server, study, &format!("event {revision} cannot be read ({error})")))?;
        recorded.push(Recorded { revision, at_ms: number(row, 1).unwrap_or_default(), event });
    }
    Ok(recorded)
}

fn damaged(server: &Server, study: StudyId, what: &str) -> StorageError {
    server.damaged(&format!("study {}: {what}", study.0))
}

/// Events as they are stored, with a number by which their append is known again when the connection broke before the
/// answer came.
pub(super) struct Append {
    study: StudyId,
    after: Revision,
    call: String,
}

impl Append {
    pub(super) fn new(study: StudyId, after: Revision, events: &[Event]) -> Result<Self, serde_json::Error> {
        let mut texts = Vec::with_capacity(events.len());
        for event in events {
            let text = serde_json::to_string(event)?;
            // One that could not be read back would make the whole study unreadable.
            serde_json::from_str::<Event>(&text)?;
            texts.push(escape_literal(&text));
        }
        let call = format!(
            "SELECT reached, at_ms FROM luthier_append({}, {after}, {}, ARRAY[{}]::text[])",
            study.0,
            token(),
            texts.join(",")
        );
        Ok(Self { study, after, call })
    }

    /// Appends, and gives the lock of this key back when that is done. Twice is the same as once.
    pub(super) fn store(
        &self,
        client: &mut Client,
        events: &[Event],
        key: Option<i64>,
    ) -> Result<Vec<Recorded>, Failure> {
        let Self { study, after, call } = self;
        // The next one must not be let in before it can see what is stored.
        let message = key.map_or_else(
            || call.clone(),
            |key| format!("BEGIN; {call}; COMMIT; SELECT pg_advisory_unlock({key})"),
        );
        let answers = answers(client, &message)?;
        let row = answers.iter().flatten().next();
        let found = row.and_then(|row| number(row, 0)).ok_or(StorageError::NoSuchStudy(*study))?;
        let at_ms = row.and_then(|row| number(row, 1));
        match at_ms {
            Some(at_ms) => {
                let places = events.iter().zip(after + 1..);
                Ok(places
                    .map(|(event, revision)| Recorded { revision, at_ms, event: event.clone() })
                    .collect())
            }
            None => Err(StorageError::Conflict { expected: *after, found }.into()),
        }
    }
}

fn token() -> i64 {
    use std::hash::{BuildHasher, RandomState};
    // Keyed at random; nothing that is computed depends on it.
    RandomState::new().hash_one(std::process::id()) as i64
}
