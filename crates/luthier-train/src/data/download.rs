//! Files that are fetched once and kept in the user's cache folder.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

use super::{DataError, Progress};

/// A file of the net, and what its contents have to be.
#[derive(Debug, Clone)]
pub(crate) struct RemoteFile {
    pub(crate) name: String,
    pub(crate) contents: Contents,
}

/// What a file has to hold.
#[derive(Debug, Clone)]
pub(crate) enum Contents {
    /// SHA-256 of what a gzip file holds, in hexadecimal; that is the same for any packing.
    Gzip(String),
    /// What the SHA-256 of the file begins with, in hexadecimal.
    Plain(String),
}

/// Tells apart the downloads of one process.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// No file is larger than this, which bounds a server that never stops.
const MOST_BYTES: u64 = 1 << 30;

/// An agent that gives up on servers that do not answer.
pub(crate) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_recv_response(Some(Duration::from_mins(1)))
        .build()
        .into()
}

/// Fetches `file` into `folder` from the first of `bases` that has it; every base ends in `/`.
///
/// The file appears under its name only when it is complete and verified. Returns the addresses that
/// were tried, each with the reason why it failed, if none works.
pub(crate) fn fetch(
    agent: &ureq::Agent,
    bases: &[String],
    file: &RemoteFile,
    folder: &Path,
    progress: Progress<'_>,
) -> Result<Result<(), Vec<String>>, DataError> {
    fs::create_dir_all(folder).map_err(|error| DataError::write(folder, error))?;
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let part = folder.join(format!(".{}.{}-{number}.part", file.name, std::process::id()));
    let mut attempts = Vec::new();
    for base in bases {
        let url = format!("{base}{}", file.name);
        let fetched = copy(agent, &url, &file.name, &part, progress)
            .and_then(|()| verify(&part, &file.contents))
            .and_then(|()| {
                fs::rename(&part, folder.join(&file.name))
                    .map_err(|error| format!("cannot write {}: {error}", folder.join(&file.name).display()))
            });
        match fetched {
            Ok(()) => return Ok(Ok(())),
            Err(reason) => attempts.push(format!("{url}: {reason}")),
        }
        match fs::remove_file(&part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(DataError::write(&part, error));
            }
            _ => {}
        }
    }
    Ok(Err(attempts))
}

fn copy(
    agent: &ureq::Agent,
    url: &str,
    name: &str,
    part: &Path,
    progress: Progress<'_>,
) -> Result<(), String> {
    let body = agent.get(url).call().map_err(|error| error.to_string())?.into_body();
    let total = body.content_length();
    let mut reader = body.into_with_config().limit(MOST_BYTES).reader();
    let cannot_write = |error: io::Error| format!("cannot write {}: {error}", part.display());
    let mut out = File::create(part).map_err(cannot_write)?;
    let mut buffer = vec![0; 1 << 16];
    let mut done = 0;
    loop {
        progress(name, done, total);
        let count = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) => return Err(format!("broken off after {done} bytes: {error}")),
        };
        out.write_all(&buffer[..count]).map_err(cannot_write)?;
        done += count as u64;
    }
    out.sync_all().map_err(cannot_write)
}

/// Compares the hash of the file at `path` with the one that is expected.
pub(crate) fn verify(path: &Path, contents: &Contents) -> Result<(), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let (mut reader, expected): (Box<dyn Read>, _) = match contents {
        Contents::Gzip(expected) => (Box::new(GzDecoder::new(file).take(MOST_BYTES)), expected),
        Contents::Plain(expected) => (Box::new(file), expected),
    };
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => hash.update(&buffer[..count]),
            Err(error) => return Err(format!("what came is not the gzip file that was expected: {error}")),
        }
    }
    let found = hash.finalize().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    if found.starts_with(expected.as_str()) {
        return Ok(());
    }
    Err(format!("wrong contents: expected SHA-256 {expected}, found {}", &found[..expected.len()]))
}
