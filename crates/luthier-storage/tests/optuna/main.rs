//! Studies of Optuna: files that Optuna 5 and 2.10 wrote (`scripts/optuna/fixtures.py`) are read as Optuna reads them, and
//! what is written is read back as it was. That Optuna itself reads what is written is checked by
//! `scripts/optuna/check_export.py`.
#![allow(clippy::doc_markdown, reason = "SQLite is a name")]
#![allow(clippy::unwrap_used, reason = "a test stops where something fails")]

mod reading;
mod refused;
mod round_trip;

use std::path::PathBuf;

use luthier_core::{History, MemoryStorage, Storage};
use luthier_storage::optuna::Imported;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/optuna").join(name)
}

/// The history of what was imported, through a storage.
fn history(imported: &Imported) -> History {
    let storage = MemoryStorage::new();
    let study = imported.store(&storage).unwrap();
    let mut history = History::of(&study.definition);
    for recorded in storage.read(study.id, 0).unwrap() {
        history.apply(&recorded).unwrap();
    }
    history
}
