//! Where studies are kept: an SQLite file with a folder of artifacts beside it, or a PostgreSQL database.
//!
//! [`SqliteStorage`] and [`PostgresStorage`] implement [`luthier_core::Storage`]. A commit waits until the disk
//! has the data, so what was acknowledged survives `kill -9` and a loss of power. Any number of processes may
//! work on one study at once: they write in turns, and see which of the others are alive.
//!
//! [`open`] and [`open_existing`] take what a user writes after `--storage`.

#![allow(clippy::doc_markdown, reason = "SQLite and PostgreSQL are names")]

mod artifacts;
mod bucket;
mod chain;
mod clock;
mod errors;
mod files;
mod identity;
mod location;
pub mod optuna;
mod postgres;
mod presence;
mod schema;
mod sqlite;

pub use self::postgres::PostgresStorage;
pub use location::{open, open_existing};
pub use sqlite::SqliteStorage;
