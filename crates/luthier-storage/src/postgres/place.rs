//! Where the artifacts of a database are: the place that was named when it began to have any.

use luthier_core::StorageError;

use super::connection::{Failure, Server};
use crate::files::{Files, same_place};

/// The place of the artifacts, if it is not the table: `named` is what the user says now.
pub(super) fn settle(server: &Server, named: Option<&str>) -> Result<Option<Files>, StorageError> {
    let stored = server.first("cannot read where artifacts are", |client| {
        let row = client.query_opt("SELECT place, own FROM files", &[])?;
        Ok(row.map(|row| (row.get::<_, String>(0), row.get::<_, String>(1))))
    })?;
    let wrong = |what: String| StorageError::Corrupt { place: server.place().to_owned(), what };
    match (stored, named) {
        (None, None) => Ok(None),
        (Some((place, _)), Some(named)) if !same_place(&place, named) => Err(wrong(format!(
            "expected files={place}, where the files of its studies are, or nothing, found files={named}"
        ))),
        (Some((place, own)), _) => Files::open(&place, &own).map(Some),
        (None, Some(named)) => {
            let own = format!("luthier-{:016x}", super::events::token() as u64);
            // Nothing is remembered that cannot be used.
            Files::open(named, &own)?.check()?;
            remember(server, named, &own)?;
            // Another process may have been first.
            settle(server, None)
        }
    }
}

fn remember(server: &Server, place: &str, own: &str) -> Result<(), StorageError> {
    server.first("cannot store where artifacts are", |client| {
        let mut transaction = client.transaction()?;
        transaction.batch_execute("LOCK TABLE files, artifacts IN SHARE ROW EXCLUSIVE MODE")?;
        let kept = transaction.query_opt("SELECT 1 FROM artifacts LIMIT 1", &[])?;
        if kept.is_some() {
            let what = format!(
                "expected no `files`, since the database itself holds files of studies already, found files={place}; \
                 leave it out, or take a new database"
            );
            return Err(Failure::Storage(StorageError::Corrupt { place: server.place().to_owned(), what }));
        }
        let insert = "INSERT INTO files SELECT $1, $2 WHERE NOT EXISTS (SELECT 1 FROM files)";
        transaction.execute(insert, &[&place, &own])?;
        Ok(transaction.commit()?)
    })
}
