//! The storage in PostgreSQL. `LUTHIER_POSTGRES` names a server on which databases may be made and dropped, such as
//! `postgres://luthier@127.0.0.1:55432/postgres`; without it these tests are skipped, and fail in CI.

#![allow(clippy::unwrap_used, reason = "a test stops where something fails")]

mod files;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use luthier_core::{
    Direction, Event, Params, SessionId, Storage, StorageError, StudyDefinition, TrialId,
    testing::storage_contract,
};
use luthier_storage::PostgresStorage;
use postgres::{Client, NoTls};

/// A database that lives as long as a test.
struct Database {
    server: String,
    name: String,
}

impl Database {
    /// Nothing where there is no server.
    fn new() -> Option<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let Ok(server) = std::env::var("LUTHIER_POSTGRES") else {
            assert!(std::env::var_os("CI").is_none(), "LUTHIER_POSTGRES is not set");
            #[allow(clippy::print_stderr, reason = "whoever runs it is to know")]
            {
                eprintln!("skipped: LUTHIER_POSTGRES is not set");
            }
            return None;
        };
        let name = format!("luthier_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let database = Self { server, name };
        database.admin().batch_execute(&format!("CREATE DATABASE {}", database.name)).unwrap();
        Some(database)
    }

    fn admin(&self) -> Client {
        Client::connect(&self.server, NoTls).unwrap()
    }

    fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').unwrap();
        format!("{server}/{}", self.name)
    }

    fn connect(&self) -> Client {
        Client::connect(&self.url(), NoTls).unwrap()
    }

    fn open(&self) -> PostgresStorage {
        PostgresStorage::open(&self.url()).unwrap()
    }

    /// Ends every connection to it, as a server does that is stopped.
    fn cut(&self) {
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
        self.admin().execute(cut, &[&self.name]).unwrap();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let dropped = self.admin().batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
        drop(dropped);
    }
}

fn definition() -> StudyDefinition {
    StudyDefinition {
        name: "s".to_owned(),
        objective: "value".to_owned(),
        direction: Direction::Minimize,
        criteria: luthier_core::Criteria::default(),
        seed: 0,
        slots: None,
        steps: None,
        file: None,
        data: None,
        program: "test".to_owned(),
    }
}

fn started(number: u64) -> Event {
    Event::TrialStarted {
        trial: TrialId(number),
        params: Params::new(),
        seed: number,
        until: None,
        at: None,
        from: None,
    }
}

#[test]
fn passes_the_contract() {
    let Some(database) = Database::new() else { return };
    storage_contract(&database.open());
}

#[test]
fn tables_are_made_once_however_many_begin() {
    let Some(database) = Database::new() else { return };
    let missing = PostgresStorage::open_existing(&database.url()).map(|_| ()).unwrap_err().to_string();
    assert!(missing.contains("found a database without its tables"), "{missing}");
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| drop(database.open()));
        }
    });
    drop(PostgresStorage::open_existing(&database.url()).unwrap());
    let mut newer = Client::connect(&database.url(), NoTls).unwrap();
    newer.batch_execute("UPDATE luthier_schema SET version = 99").unwrap();
    let newer = PostgresStorage::open(&database.url()).map(|_| ()).unwrap_err().to_string();
    assert!(newer.contains("found version 99: a newer Luthier made them"), "{newer}");
}

#[test]
fn a_connection_that_breaks_loses_nothing_and_doubles_nothing() {
    let Some(database) = Database::new() else { return };
    let storage = database.open();
    let study = storage.create_study(&definition()).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 0..300 {
                let recorded = storage.append(study.id, number, &[started(number)]).unwrap();
                assert_eq!(recorded[0].revision, number + 1);
            }
        });
        while !writer.is_finished() {
            database.cut();
            std::thread::sleep(Duration::from_millis(15));
        }
        writer.join().unwrap();
    });
    let read = storage.read(study.id, 0).unwrap();
    let expected: Vec<Event> = (0..300).map(started).collect();
    assert_eq!(read.into_iter().map(|recorded| recorded.event).collect::<Vec<_>>(), expected);
}

#[test]
fn a_session_is_alive_as_long_as_it_is_heard_of_and_a_turn_ends_with_its_connection() {
    let Some(database) = Database::new() else { return };
    let open = || PostgresStorage::open(&format!("{}?lease=1", database.url())).unwrap();
    let (one, other) = (open(), open());
    let study = one.create_study(&definition()).unwrap().id;
    let here = one.enroll(study, SessionId(3)).unwrap();
    // It is renewed, by new connections where the old ones break.
    for _ in 0..15 {
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(other.living(study).unwrap(), [SessionId(3)].into());
        database.cut();
    }
    // One that is not renewed runs out.
    std::mem::forget(here);
    let mut client = Client::connect(&database.url(), NoTls).unwrap();
    client.execute("INSERT INTO sessions VALUES ($1, 4, now() + interval '100 ms')", &[&study.0]).unwrap();
    std::thread::sleep(Duration::from_millis(150));
    assert_eq!(other.living(study).unwrap(), [SessionId(3)].into());

    // A turn whose connection has ended does not hold others up.
    let turn = one.turn(study, 0).unwrap();
    database.cut();
    drop(other.turn(study, 0).unwrap());
    drop(turn);
    let wrong = PostgresStorage::open(&format!("{}?lease=soon", database.url())).map(|_| ()).unwrap_err();
    assert!(wrong.to_string().contains("expected lease=SECONDS, at least 1, found lease=soon"), "{wrong}");
}

#[test]
fn who_stands_still_with_the_turn_is_passed_over() {
    let Some(database) = Database::new() else { return };
    let (one, other) = (database.open(), database.open());
    let study = one.create_study(&definition()).unwrap().id;
    // Its connection lives on, as that of a machine that has been suspended.
    let turn = one.turn(study, 0).unwrap();
    drop(other.turn(study, 0).unwrap());
    other.append(study, 0, &[started(0)]).unwrap();
    // When it wakes up it is refused, and loses nothing but its turn.
    let late = one.append(study, 0, &[started(0)]);
    assert!(matches!(late, Err(StorageError::Conflict { expected: 0, found: 1 })), "{late:?}");
    drop(turn);
    drop(one.turn(study, 0).unwrap());
}

#[test]
fn what_was_altered_is_found() {
    let Some(database) = Database::new() else { return };
    let storage = database.open();
    let study = storage.create_study(&definition()).unwrap().id;
    let events: Vec<Event> = (0..5).map(started).collect();
    storage.append(study, 0, &events[..3]).unwrap();
    storage.append(study, 3, &events[3..]).unwrap();
    assert_eq!(storage.altered(study).unwrap(), None);
    let mut client = Client::connect(&database.url(), NoTls).unwrap();
    // The second append has events 4 and 5.
    let alter = "UPDATE appends SET events = replace(events, '\"seed\":3', '\"seed\":8') WHERE revision = 5";
    assert_eq!(client.execute(alter, &[]).unwrap(), 1);
    assert_eq!(storage.altered(study).unwrap(), Some(4));
    client.batch_execute("UPDATE studies SET definition = replace(definition, 'test', 'best')").unwrap();
    assert_eq!(storage.altered(study).unwrap(), Some(1));
}

#[test]
fn what_cannot_be_reached_is_said_without_its_password() {
    let unreachable = "postgres://me:secret@127.0.0.1:1/db";
    let error = PostgresStorage::open(unreachable).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "cannot prepare the tables in postgres://127.0.0.1:1/db");
    let error =
        PostgresStorage::open("postgres://me:secret@host:port/db").map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("expected postgres://USER:PASSWORD@HOST:PORT/DATABASE"), "{error}");
    assert!(!error.contains("secret"), "{error}");
}
