//! Where studies are kept: an SQLite file with a folder of artifacts beside it, or a PostgreSQL database.
//!
//! [`SqliteStorage`] and [`PostgresStorage`] implement [`luthier_core::Storage`]. A commit waits until the disk
//! has the data, so what was acknowledged survives `kill -9` and a loss of power. Several processes may use
//! one storage at once; a study is worked on by the one that holds its lock.
//!
//! [`open`] and [`open_existing`] take what a user writes after `--storage`.

#![allow(clippy::doc_markdown, reason = "SQLite and PostgreSQL are names")]

mod artifacts;
mod clock;
mod errors;
mod location;
mod lock;
pub mod optuna;
mod postgres;
mod schema;
mod sqlite;

pub use self::postgres::PostgresStorage;
pub use location::{open, open_existing};
pub use sqlite::SqliteStorage;
