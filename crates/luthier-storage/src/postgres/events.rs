//! The events of a study, read and appended with one message to the server each.
//!
//! The messages are texts with several statements, which the server answers at once. They hold numbers, and texts that
//! are escaped; statements with parameters would be a message for each.

use luthier_core::{Event, Recorded, Revision, StorageError, StudyId};
use postgres::{Client, SimpleQueryMessage, SimpleQueryRow};
use postgres_protocol::escape::escape_literal;

use super::connection::{Failure, Server};
use crate::chain;

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
    let message = format!(
        "{before} {}; SELECT revision, at_ms, events FROM appends WHERE study = {} AND revision > {} ORDER BY revision",
        is_there(study),
        study.0,
        i64::try_from(after).unwrap_or(i64::MAX)
    );
    let answers = answers(client, &message)?;
    let [.., there, rows] = &answers[..] else {
        return Err(damaged(server, study, "the server did not answer").into());
    };
    if there.is_empty() {
        return Err(StorageError::NoSuchStudy(study).into());
    }
    let mut recorded: Vec<Recorded> = Vec::with_capacity(16 * rows.len());
    for row in rows {
        let (last, at_ms) = (number(row, 0).unwrap_or_default(), number(row, 1).unwrap_or_default());
        let texts = row.get(2).unwrap_or_default();
        let first = first_of(last, texts);
        for (text, revision) in texts.split('\n').zip(first..).filter(|(_, revision)| *revision > after) {
            let expected = recorded.last().map_or(after, |last| last.revision) + 1;
            if revision != expected {
                let what = format!("expected event {expected}, found event {revision}");
                return Err(damaged(server, study, &what).into());
            }
            let event = serde_json::from_str(text).map_err(|error| {
                damaged(server, study, &format!("event {revision} cannot be read ({error})"))
            })?;
            recorded.push(Recorded { revision, at_ms, event });
        }
    }
    Ok(recorded)
}

/// The revision of the first of the events in `texts`, of which the last has this one.
fn first_of(last: Revision, texts: &str) -> Revision {
    (last + 1).saturating_sub(texts.split('\n').count() as Revision)
}

/// The first event that is not as it was stored.
pub(super) fn altered(client: &mut Client, study: StudyId) -> Result<Option<Revision>, Failure> {
    let row = client.query_opt("SELECT definition FROM studies WHERE id = $1", &[&study.0])?;
    let mut check = chain::Check::new(row.ok_or(StorageError::NoSuchStudy(study))?.get(0));
    let appends = "SELECT revision, at_ms, events, digests FROM appends WHERE study = $1 ORDER BY revision";
    for row in client.query(appends, &[&study.0])? {
        let (last, at_ms, texts, digests): (i64, i64, &str, &[u8]) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        let mut digests = digests.chunks(size_of::<chain::Digest>());
        for (text, revision) in texts.split('\n').zip(first_of(last as Revision, texts)..) {
            check.event(revision as i64, at_ms, text, digests.next().unwrap_or_default());
        }
    }
    Ok(check.altered)
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
            texts.push(text);
        }
        let call = format!(
            "SELECT reached, at_ms FROM luthier_append({}, {after}, {}, {})",
            study.0,
            token(),
            // JSON has no line breaks in it.
            escape_literal(&texts.join("\n"))
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

pub(super) fn token() -> i64 {
    use std::hash::{BuildHasher, RandomState};
    // Keyed at random; nothing that is computed depends on it.
    RandomState::new().hash_one(std::process::id()) as i64
}
