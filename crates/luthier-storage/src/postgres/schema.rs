//! The tables in PostgreSQL, and how they come to be.

use luthier_core::StorageError;
use postgres::Client;

use super::connection::Failure;

/// The steps from an empty database to the tables of today.
const MIGRATIONS: &[&str] =
    &[include_str!("../migrations/postgres_1.sql"), include_str!("../migrations/postgres_2.sql")];

/// The advisory lock that whoever changes the tables holds.
const CHANGING: i64 = 0x6c75_7468_6965_7200;

/// The version of the tables; nothing where there are none.
fn version(client: &mut impl postgres::GenericClient) -> Result<Option<usize>, postgres::Error> {
    // Not by `to_regclass`, which remembers within a transaction that there was none.
    let there = "SELECT EXISTS (SELECT 1 FROM pg_class WHERE relname = 'luthier_schema' AND pg_table_is_visible(oid))";
    let there = client.query_one(there, &[])?;
    if !there.get::<_, bool>(0) {
        return Ok(None);
    }
    let row = client.query_opt("SELECT version FROM luthier_schema", &[])?;
    Ok(row.map(|row| row.get::<_, i32>(0) as usize))
}

fn wrong(place: &str, what: String) -> Failure {
    StorageError::Corrupt { place: place.to_owned(), what }.into()
}

fn known(version: usize, place: &str) -> Result<usize, Failure> {
    if version <= MIGRATIONS.len() {
        return Ok(version);
    }
    let what = format!(
        "expected tables of version {} or less, found version {version}: a newer Luthier made them; use that one",
        MIGRATIONS.len()
    );
    Err(wrong(place, what))
}

/// Brings the tables to the latest version, all steps or none.
pub(super) fn migrate(client: &mut Client, place: &str) -> Result<(), Failure> {
    if let Some(version) = version(client)?
        && known(version, place)? == MIGRATIONS.len()
    {
        return Ok(());
    }
    let mut transaction = client.transaction()?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&CHANGING])?;
    // Another process may have been first.
    let found = version(&mut transaction)?;
    let done = known(found.unwrap_or(0), place)?;
    if found.is_none() {
        transaction.batch_execute("CREATE TABLE luthier_schema (version INTEGER NOT NULL)")?;
        transaction.execute("INSERT INTO luthier_schema VALUES (0)", &[])?;
    }
    for step in &MIGRATIONS[done..] {
        transaction.batch_execute(step)?;
    }
    transaction.execute("UPDATE luthier_schema SET version = $1", &[&(MIGRATIONS.len() as i32)])?;
    transaction.commit()?;
    Ok(())
}

/// Whether there are tables of the latest version.
pub(super) fn check(client: &mut Client, place: &str) -> Result<(), Failure> {
    match version(client)? {
        None => {
            let what = "expected a storage of Luthier, found a database without its tables; `luthier tune` makes them";
            Err(wrong(place, what.to_owned()))
        }
        // Older ones are brought up to date by whoever may.
        Some(version) if known(version, place)? < MIGRATIONS.len() => migrate(client, place),
        Some(_) => Ok(()),
    }
}
