//! `luthier ask-tell`: the search for any language, over stdin and stdout.

use std::io::BufRead;

use luthier::AskTell;

use super::Failure;
use super::output::{print, tell};

pub(crate) fn run() -> Result<(), Failure> {
    let mut session = AskTell::default();
    for (number, line) in std::io::stdin().lock().split(b'\n').enumerate() {
        let line = line?;
        match session.line(&String::from_utf8_lossy(&line)) {
            Ok(Some(reply)) => print(&reply)?,
            Ok(None) => {}
            Err(error) => tell(&format!("line {}: {error}", number + 1)),
        }
    }
    Ok(())
}
