//! Where a test keeps its studies.

use std::sync::atomic::{AtomicU64, Ordering};

/// A storage of a test.
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) database: Option<(String, String)>,
}

impl Place {
    pub(crate) fn sqlite(name: &str) -> Self {
        Self { url: name.to_owned(), database: None }
    }

    /// A new database on the server; nothing where there is none.
    pub(crate) fn postgres() -> Option<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let Ok(server) = std::env::var("LUTHIER_POSTGRES") else {
            assert!(std::env::var_os("CI").is_none(), "LUTHIER_POSTGRES is not set");
            say("PostgreSQL is skipped: LUTHIER_POSTGRES is not set");
            return None;
        };
        let name = format!("luthier_many_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut client = postgres::Client::connect(&server, postgres::NoTls).unwrap();
        client.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        let (host, _) = server.rsplit_once('/').unwrap();
        // Whoever is silent for two seconds is taken to be gone.
        let url = format!("{host}/{name}?lease=2");
        Some(Self { url, database: Some((server, name)) })
    }

    /// The same, with checkpoints and models in the bucket that `LUTHIER_S3` names; nothing where there is none.
    pub(crate) fn bucket() -> Option<Self> {
        let Ok(bucket) = std::env::var("LUTHIER_S3") else {
            assert!(std::env::var_os("CI").is_none(), "LUTHIER_S3 is not set");
            say("the bucket is skipped: LUTHIER_S3 is not set");
            return None;
        };
        let mut place = Self::postgres()?;
        place.url += &format!("&files={bucket}/kills");
        Some(place)
    }

    pub(crate) fn kind(&self) -> &str {
        if self.database.is_some() { "PostgreSQL" } else { "SQLite" }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((server, name)) = &self.database {
            let mut client = postgres::Client::connect(server, postgres::NoTls).unwrap();
            drop(client.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")));
        }
    }
}

#[allow(clippy::print_stderr, reason = "whoever runs it is to know")]
pub(crate) fn say(what: &str) {
    eprintln!("{what}");
}
