//! What the engines have in common: their commands, words for shells, and options as pairs.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use super::LaunchError;

/// Runs a command of an engine with `input` on its stdin, and gives what it printed.
pub(super) fn run(mut command: Command, input: &str, help: &'static str) -> Result<String, LaunchError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |source: std::io::Error| match source.kind() {
        ErrorKind::NotFound => LaunchError::Missing { program: program.clone(), help },
        _ => LaunchError::Io { what: format!("run `{program}`"), source },
    };
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let mut stdin = child.stdin.take();
    // Both pipes are read while the input is written, so neither side waits for the other.
    let output = std::thread::scope(|scope| {
        let writing =
            scope.spawn(move || stdin.as_mut().map_or(Ok(()), |pipe| pipe.write_all(input.as_bytes())));
        let output = child.wait_with_output();
        // A command that ended without reading its input says why by its own error.
        drop(writing.join());
        output
    })
    .map_err(failed)?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(said(&output.stdout));
    }
    let args: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy()).collect();
    let mut reason = said(&output.stderr);
    if reason.is_empty() {
        reason = output.status.to_string();
    }
    Err(LaunchError::Refused {
        what: format!("`{program} {}`", args.join(" ")).replace(" `", "`"),
        said: reason,
    })
}

/// A word that a POSIX shell reads as `text`.
pub(super) fn quoted(text: &str) -> Result<String, LaunchError> {
    match shlex::try_quote(text) {
        Ok(word) => Ok(word.into_owned()),
        Err(_) => Err(LaunchError::Option {
            option: format!("{text:?}"),
            expected: "text without zero bytes",
            found: "one".to_owned(),
        }),
    }
}

/// Words as a line for a POSIX shell.
pub(super) fn line(words: &[String]) -> Result<String, LaunchError> {
    let words: Result<Vec<String>, LaunchError> = words.iter().map(|word| quoted(word)).collect();
    Ok(words?.join(" "))
}

/// A path as text.
pub(super) fn text(path: &Path) -> Result<&str, LaunchError> {
    path.to_str().ok_or_else(|| LaunchError::Option {
        option: path.display().to_string(),
        expected: "a path in UTF-8",
        found: "other bytes".to_owned(),
    })
}

/// The key and the value of an option `KEY=VALUE`.
pub(super) fn pair(option: &str) -> (&str, Option<&str>) {
    match option.split_once('=') {
        Some((key, value)) => (key.trim(), Some(value.trim())),
        None => (option.trim(), None),
    }
}
