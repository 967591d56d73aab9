//! A connection that comes back.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use luthier_core::StorageError;
use postgres::config::Host;
use postgres::error::SqlState;
use postgres::{Client, Config, NoTls};

/// How long a call waits for a server that has gone away.
const PATIENCE: Duration = Duration::from_mins(5);

/// Milliseconds that a writer may wait for another before that one is looked at.
const LONGEST_TURN: u32 = 10_000;

/// How long it waits for one that was never there.
const FIRST_PATIENCE: Duration = Duration::from_secs(2);

/// A database on a server.
pub(super) struct Server {
    config: Config,
    /// Who of this process waits for a turn, or has it.
    pub(super) turns: Mutex<()>,
    /// For messages: without the password.
    place: String,
    client: Mutex<Option<Client>>,
}

/// Why a call failed: the server, or what was asked of it.
pub(super) enum Failure {
    Server(postgres::Error),
    Storage(StorageError),
}

impl From<postgres::Error> for Failure {
    fn from(error: postgres::Error) -> Self {
        Self::Server(error)
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl Server {
    pub(super) fn new(url: &str) -> Result<Self, StorageError> {
        let mut config: Config = url.parse().map_err(|error: postgres::Error| StorageError::Corrupt {
            place: "postgres://…".to_owned(),
            what: format!(
                "expected postgres://USER:PASSWORD@HOST:PORT/DATABASE, found something else ({})",
                words(&error)
            ),
        })?;
        config.connect_timeout(Duration::from_secs(10));
        let options = config.get_options().unwrap_or_default();
        let options = format!(
            "{options} -c lock_timeout={LONGEST_TURN}ms -c default_transaction_isolation=read\\ committed"
        );
        config.options(&options);
        let host = config.get_hosts().first().map_or_else(
            || "localhost".to_owned(),
            |host| match host {
                Host::Tcp(name) => name.clone(),
                #[cfg(unix)]
                Host::Unix(path) => path.display().to_string(),
            },
        );
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let database = config.get_dbname().or(config.get_user()).unwrap_or("postgres");
        let place = format!("postgres://{host}:{port}/{database}");
        Ok(Self { config, turns: Mutex::new(()), place, client: Mutex::new(None) })
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    pub(super) fn failed(&self, what: &str, error: postgres::Error) -> StorageError {
        StorageError::Backend { what: what.to_owned(), place: self.place.clone(), source: Box::new(error) }
    }

    /// Does `work` if the server is there, and does not mind if not.
    pub(super) fn once(&self, work: impl FnOnce(&mut Client) -> Result<(), Failure>) {
        let mut place = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let client = place.take().filter(|client| !client.is_closed());
        let Some(mut client) = client.or_else(|| self.config.connect(NoTls).ok()) else { return };
        if work(&mut client).is_ok() {
            *place = Some(client);
        }
    }

    /// The first call: a server that is not there is most likely a wrong address.
    pub(super) fn first<T>(
        &self,
        what: &str,
        work: impl FnMut(&mut Client) -> Result<T, Failure>,
    ) -> Result<T, StorageError> {
        self.patiently(what, FIRST_PATIENCE, work)
    }

    /// Does `work`, again if the server goes away meanwhile: it has to be such that doing it twice is the same as
    /// doing it once.
    pub(super) fn call<T>(
        &self,
        what: &str,
        work: impl FnMut(&mut Client) -> Result<T, Failure>,
    ) -> Result<T, StorageError> {
        self.patiently(what, PATIENCE, work)
    }

    fn patiently<T>(
        &self,
        what: &str,
        patience: Duration,
        mut work: impl FnMut(&mut Client) -> Result<T, Failure>,
    ) -> Result<T, StorageError> {
        // A panic inside has at most left a connection that does not answer, and that is made anew.
        let mut place = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let started = Instant::now();
        loop {
            let connected = match place.take().filter(|client| !client.is_closed()) {
                Some(client) => Ok(client),
                None => self.config.connect(NoTls),
            };
            let error = match connected {
                Ok(mut client) => match work(&mut client) {
                    Ok(result) => {
                        *place = Some(client);
                        return Ok(result);
                    }
                    Err(Failure::Storage(error)) => {
                        *place = Some(client);
                        return Err(error);
                    }
                    Err(Failure::Server(error)) => error,
                },
                Err(error) => error,
            };
            if !is_away(&error) || started.elapsed() >= patience {
                return Err(self.failed(what, error));
            }
            pause(started);
        }
    }
}

/// Waits a little before the next attempt: longer, the longer it has been.
fn pause(started: Instant) {
    thread::sleep((started.elapsed() / 4).clamp(Duration::from_millis(20), Duration::from_secs(2)));
}

/// Whether the server has gone, or is going, or has not yet come: not whether it refuses.
fn is_away(error: &postgres::Error) -> bool {
    match error.code() {
        Some(code) => {
            let away = [
                SqlState::ADMIN_SHUTDOWN,
                SqlState::CRASH_SHUTDOWN,
                SqlState::CANNOT_CONNECT_NOW,
                SqlState::TOO_MANY_CONNECTIONS,
                SqlState::LOCK_NOT_AVAILABLE,
                SqlState::T_R_SERIALIZATION_FAILURE,
                SqlState::T_R_DEADLOCK_DETECTED,
            ];
            away.contains(code) || code.code().starts_with("08")
        }
        None => error.is_closed() || is_io(error),
    }
}

fn is_io(error: &postgres::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if error.is::<std::io::Error>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// An error with what it comes from.
fn words(error: &postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
