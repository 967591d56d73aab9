//! Whose turn it is to write: an advisory lock of the connection. The server frees it when the connection ends, and
//! appends are safe without it. A turn is two messages: the lock comes with what is new, and goes with what is appended.

use std::sync::{MutexGuard, PoisonError};

use luthier_core::{Event, Recorded, Revision, StorageError, StudyId, Turn};
use postgres::Client;
use postgres::error::SqlState;

use super::connection::{Failure, Server};
use super::events;

/// The turn on a study.
struct ServerTurn<'a> {
    server: &'a Server,
    study: StudyId,
    key: i64,
    /// Whether the lock is to be given back.
    is_locked: bool,
    /// The lock is the connection's, and so is for all threads at once.
    _mine: MutexGuard<'a, ()>,
}

impl Turn for ServerTurn<'_> {
    fn append(mut self: Box<Self>, after: Revision, events: &[Event]) -> Result<Vec<Recorded>, StorageError> {
        // The message with the events gives it back; where that fails the connection ends.
        self.is_locked = false;
        self.server.append(self.study, after, events, Some(self.key))
    }
}

impl Drop for ServerTurn<'_> {
    fn drop(&mut self) {
        if self.is_locked {
            let unlock = format!("SELECT pg_advisory_unlock({})", self.key);
            self.server.once(|client| Ok(client.batch_execute(&unlock)?));
        }
    }
}

/// Waits for the turn, and reads what is new. The server lets those who wait in as they came.
pub(super) fn turn(
    server: &Server,
    study: StudyId,
    after: Revision,
) -> Result<(Box<dyn Turn + '_>, Vec<Recorded>), StorageError> {
    let mine = server.turns.lock().unwrap_or_else(PoisonError::into_inner);
    let key = key(study);
    // A statement sees what was there when it began: the second one, what was there when the lock had come.
    let lock = format!("SELECT pg_advisory_lock({key});");
    let news = server.call("cannot wait for a turn to write", |client| {
        match events::read(server, client, &lock, study, after) {
            Err(Failure::Server(error)) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                end_who_hangs(client, key)?;
                // Whoever is let in then: this one goes on without, and is refused if that was too early.
                events::read(server, client, "", study, after)
            }
            Err(Failure::Storage(error)) => {
                client.batch_execute(&format!("SELECT pg_advisory_unlock({key})"))?;
                Err(error.into())
            }
            other => other,
        }
    })?;
    Ok((Box::new(ServerTurn { server, study, key, is_locked: true, _mine: mine }), news))
}

/// Ends the connection of who has the turn and has done nothing with it for as long as others wait: its machine is
/// gone or stands still. If it is alive it connects again, and loses nothing. One that is not idle may have waited
/// for as long itself, and with the lock for its results to be taken.
fn end_who_hangs(client: &mut Client, key: i64) -> Result<(), Failure> {
    client.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
         WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE
         datname = current_database()) AND ((classid::bigint << 32) | objid::bigint) = $1
         AND state_change < now() - current_setting('lock_timeout')::interval * CASE state WHEN 'idle' THEN 1 ELSE 2 END",
        &[&key],
    )?;
    Ok(())
}

/// The key of a study's advisory lock: "luth" in front, which is most likely nobody else's.
fn key(study: StudyId) -> i64 {
    (0x6c75_7468 << 32) | (study.0 & 0xffff_ffff)
}
