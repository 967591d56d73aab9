//! Artifacts elsewhere than in the database: in a folder, or in a bucket. `LUTHIER_S3` names a bucket in an S3-compatible
//! store, such as `s3://luthier`, with the credentials in the `AWS_` variables (`scripts/s3.sh` starts one); without it
//! those tests are skipped, and fail in CI.

use luthier_core::{Storage, testing::storage_contract};
use luthier_storage::PostgresStorage;

use super::{Database, definition};

fn bucket() -> Option<String> {
    let bucket = std::env::var("LUTHIER_S3").ok();
    assert!(bucket.is_some() || std::env::var_os("CI").is_none(), "LUTHIER_S3 is not set");
    if bucket.is_none() {
        #[allow(clippy::print_stderr, reason = "whoever runs it is to know")]
        {
            eprintln!("skipped: LUTHIER_S3 is not set");
        }
    }
    bucket
}

fn refused(url: &str) -> String {
    PostgresStorage::open(url).map(|_| ()).unwrap_err().to_string()
}

/// Artifacts of studies in `database`, kept at `files`, which is empty.
fn artifacts_are_kept_at(database: &Database, files: &str) {
    let named = format!("{}?files={files}", database.url());
    storage_contract(&PostgresStorage::open(&named).unwrap());
    let in_table: i64 = database.connect().query_one("SELECT count(*) FROM artifacts", &[]).unwrap().get(0);
    assert_eq!(in_table, 0);

    // Who does not name it finds it, and it stays the same.
    let (one, other) = (database.open(), PostgresStorage::open(&format!("{named}/")).unwrap());
    let study = one.create_study(&definition()).unwrap().id;
    // Large enough for several packets.
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|k| (k % 251) as u8).collect();
    one.put_artifact(study, "trial-7.checkpoint", &bytes).unwrap();
    assert!(other.artifact(study, "trial-7.checkpoint").unwrap().as_deref() == Some(&bytes[..]));
    let error = refused(&format!("{}?files=/elsewhere", database.url()));
    assert!(
        error.contains(&format!("expected files={files}")) && error.contains("found files=/elsewhere"),
        "{error}"
    );

    // Another database has another folder there.
    let second = Database::new().unwrap();
    let second = PostgresStorage::open(&format!("{}?files={files}", second.url())).unwrap();
    let same = second.create_study(&definition()).unwrap().id;
    assert!(second.artifacts(same).unwrap().is_empty());
    one.delete_study(study).unwrap();
    assert!(other.artifact(study, "trial-7.checkpoint").unwrap().is_none());
}

#[test]
fn in_a_folder() {
    let Some(database) = Database::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    artifacts_are_kept_at(&database, &folder.path().join("new").display().to_string());
}

#[test]
fn in_a_bucket() {
    let (Some(bucket), Some(database)) = (bucket(), Database::new()) else { return };
    artifacts_are_kept_at(&database, &format!("{bucket}/{}", database.name));
}

#[test]
fn a_place_that_cannot_be_used_is_not_remembered() {
    let Some(database) = Database::new() else { return };
    let error = refused(&format!("{}?files=checkpoints", database.url()));
    assert!(error.contains("expected files=s3://BUCKET/PREFIX or files=/FOLDER"), "{error}");
    let error = refused(&format!("{}?files=s3://", database.url()));
    assert!(error.contains("found no bucket"), "{error}");
    if bucket().is_some() {
        let error = refused(&format!("{}?files=s3://no-such-bucket", database.url()));
        assert!(error.contains("expected a bucket named `no-such-bucket`, found none; make it"), "{error}");
    }
    // A database that has artifacts keeps them.
    let storage = database.open();
    let study = storage.create_study(&definition()).unwrap().id;
    storage.put_artifact(study, "trial-0.checkpoint", &[1]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let error = refused(&format!("{}?files={}", database.url(), folder.path().display()));
    assert!(error.contains("the database itself holds files of studies already"), "{error}");
    assert_eq!(database.open().artifacts(study).unwrap(), ["trial-0.checkpoint"]);
}
