//! A storage that all workers reach.

use std::path::Path;

use luthier::StudyFile;

use crate::cli::{Failure, StorageArgs};

/// The URL of the storage as workers are told it.
///
/// # Errors
///
/// Where workers on other machines cannot reach it.
pub(super) fn for_workers(
    file: &StudyFile,
    args: &StorageArgs,
    one_host: bool,
    engine: &str,
) -> Result<String, Failure> {
    let url = args.storage.clone().unwrap_or_else(|| super::shown(&file.folder().join("luthier.db")));
    let one_host_helps =
        if engine == "kubernetes" { "" } else { "; with --one-host if all of them run on this machine" };
    if let Some(host) = postgres_host(&url) {
        if (!one_host || engine == "kubernetes") && ["", "localhost", "127.0.0.1", "[::1]"].contains(&host) {
            return Err(Failure::usage(format!(
                "the storage is a server on {}, which workers on other machines do not reach: name it as they see \
                 it{one_host_helps}",
                if host.is_empty() { "this machine" } else { host }
            )));
        }
        return Ok(url);
    }
    if !one_host || engine == "kubernetes" {
        return Err(Failure::usage(format!(
            "workers on several machines need a storage that all of them reach: --storage \
             postgres://USER@HOST/DATABASE, or the variable {}; an SQLite file is for one machine{one_host_helps}",
            luthier::launch::STORAGE_VARIABLE
        )));
    }
    let path =
        url.strip_prefix("sqlite:").map_or(url.as_str(), |rest| rest.strip_prefix("//").unwrap_or(rest));
    Ok(super::shown(&std::path::absolute(Path::new(path))?))
}

/// The host in the URL of a PostgreSQL server; empty where none is named.
fn postgres_host(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"))?;
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    // The colon behind an address in brackets, or behind a name.
    let end = place.find(']').map_or_else(|| place.find(':'), |bracket| Some(bracket + 1));
    Some(&place[..end.unwrap_or(place.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_urls() {
        for (url, host) in [
            ("postgres://me:p@ss@db.example:5432/studies", Some("db.example")),
            ("postgresql://localhost", Some("localhost")),
            ("postgres:///studies?lease=2", Some("")),
            ("postgres://me@[::1]:5432/studies", Some("[::1]")),
            ("postgres://127.0.0.1?lease=2", Some("127.0.0.1")),
            ("sqlite:luthier.db", None),
            ("luthier.db", None),
        ] {
            assert_eq!(postgres_host(url), host, "{url}");
        }
    }
}
