//! Where studies are kept on disk: one SQLite file, and a folder of artifacts beside it.
//!
//! [`SqliteStorage`] implements [`luthier_core::Storage`]. A commit waits until the disk has the
//! data, so what was acknowledged survives `kill -9` and a loss of power. Several processes may use
//! one file at once; a study is worked on by the one that holds its lock.
//!
//! [`open`] and [`open_existing`] take what a user writes after `--storage`.

#![allow(clippy::doc_markdown, reason = "SQLite is a name")]

mod artifacts;
mod clock;
mod errors;
mod location;
mod lock;
mod schema;
mod sqlite;

pub use location::{open, open_existing};
pub use sqlite::SqliteStorage;
