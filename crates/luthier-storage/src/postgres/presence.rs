//! Who works on a study, by rows that are renewed as long as a process lives.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use luthier_core::{Presence, SessionId, StorageError, StudyId};
use postgres::{Client, SimpleQueryRow};

use super::check_study;
use super::connection::{Failure, Server};
use super::events::{answers, is_there};

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
    let sessions = format!("SELECT session FROM sessions WHERE study = {} AND until >= now()", study.0);
    let answers = answers(client, &format!("{}; {sessions}", is_there(study)))?;
    let [there, rows] = &answers[..] else { return Ok(Vec::new()) };
    if there.is_empty() {
        return Err(StorageError::NoSuchStudy(study).into());
    }
    let number = |row: &SimpleQueryRow| row.get(0)?.parse::<i64>().ok();
    Ok(rows.iter().filter_map(number).map(|session| SessionId(session as u64)).collect())
}
