//! Who works on a study, by rows that are renewed as long as a process lives, and whose turn it is to write.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use luthier_core::{Presence, SessionId, StorageError, StudyId, Turn};
use postgres::Client;

use super::check_study;
use super::connection::{Failure, Server};

/// Renewals in the time for which a session counts as alive without one.
const RENEWALS: u32 = 5;

/// A row that is renewed by a thread.
struct Row {
    server: Arc<Server>,
    study: StudyId,
    session: SessionId,
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Presence for Row {}

impl Drop for Row {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            // A renewal that panicked has nothing to tell.
            drop(thread.join());
        }
        let leave = "DELETE FROM sessions WHERE study = $1 AND session = $2";
        let (study, session) = (self.study.0, self.session.0 as i64);
        // If the server is away the row runs out by itself.
        self.server
            .once(|client| client.execute(leave, &[&study, &session]).map(drop).map_err(Failure::from));
    }
}

/// Makes known that a session is at work.
pub(super) fn enroll(
    server: &Arc<Server>,
    study: StudyId,
    session: SessionId,
    lease: Duration,
) -> Result<Box<dyn Presence>, StorageError> {
    server.call("cannot begin a session", |client| {
        check_study(client, study)?;
        // What has run out long ago is of use to nobody.
        let old = "DELETE FROM sessions WHERE study = $1 AND until < now() - interval '1 day'";
        client.execute(old, &[&study.0])?;
        renew(client, study, session, lease)
    })?;
    let (end, ends) = mpsc::channel();
    let thread = std::thread::spawn({
        let server = Arc::clone(server);
        move || {
            while ends.recv_timeout(lease / RENEWALS) == Err(RecvTimeoutError::Timeout) {
                // One that fails is made up for by the next.
                server.once(|client| renew(client, study, session, lease));
            }
        }
    });
    Ok(Box::new(Row { server: Arc::clone(server), study, session, end: Some(end), thread: Some(thread) }))
}

fn renew(client: &mut Client, study: StudyId, session: SessionId, lease: Duration) -> Result<(), Failure> {
    client.execute(
        "INSERT INTO sessions (study, session, until) VALUES ($1, $2, now() + $3 * interval '1 second')
         ON CONFLICT (study, session) DO UPDATE SET until = excluded.until",
        &[&study.0, &(session.0 as i64), &lease.as_secs_f64()],
    )?;
    Ok(())
}

/// The sessions that have been heard of lately.
pub(super) fn living(client: &mut Client, study: StudyId) -> Result<Vec<SessionId>, Failure> {
    check_study(client, study)?;
    let rows =
        client.query("SELECT session FROM sessions WHERE study = $1 AND until >= now()", &[&study.0])?;
    Ok(rows.iter().map(|row| SessionId(row.get::<_, i64>(0) as u64)).collect())
}

/// The turn on a study: an advisory lock of the connection. The server frees it when the connection ends, and appends
/// are safe without it.
struct ServerTurn<'a> {
    server: &'a Server,
    key: i64,
    /// The lock is the connection's, and so is for all threads at once.
    _mine: MutexGuard<'a, ()>,
}

impl Turn for ServerTurn<'_> {}

impl Drop for ServerTurn<'_> {
    fn drop(&mut self) {
        let key = self.key;
        self.server.once(|client| {
            client.execute("SELECT pg_advisory_unlock($1)", &[&key]).map(drop).map_err(Failure::from)
        });
    }
}

/// Waits for the turn. The server lets those who wait in as they came.
pub(super) fn turn(server: &Server, study: StudyId) -> Result<Box<dyn Turn + '_>, StorageError> {
    let mine = server.turns.lock().unwrap_or_else(PoisonError::into_inner);
    let key = key(study);
    server.call("cannot wait for a turn to write", |client| {
        match client.execute("SELECT pg_advisory_lock($1)", &[&key]) {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some(&postgres::error::SqlState::LOCK_NOT_AVAILABLE) => {
                end_who_hangs(client, key)
            }
            Err(error) => Err(error.into()),
        }
    })?;
    Ok(Box::new(ServerTurn { server, key, _mine: mine }))
}

/// Ends the connection of who has the turn and has done nothing with it for as long as others wait: its machine is
/// gone or stands still. If it is alive it connects again, and loses nothing.
fn end_who_hangs(client: &mut Client, key: i64) -> Result<(), Failure> {
    client.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
         WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE
         datname = current_database()) AND ((classid::bigint << 32) | objid::bigint) = $1
         AND query_start < now() - current_setting('lock_timeout')::interval",
        &[&key],
    )?;
    // Whoever is let in then: this one goes on without, and is refused if that was too early.
    Ok(())
}

/// The key of a study's advisory lock: "luth" in front, which is most likely nobody else's.
fn key(study: StudyId) -> i64 {
    (0x6c75_7468 << 32) | (study.0 & 0xffff_ffff)
}
