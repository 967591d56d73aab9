//! Tasks of the workspace.
//!
//! - `cargo xtask examples [NAME…]`: the examples in full, or those that are named; all of them write
//!   `docs/examples.md`.
//! - `cargo xtask examples --short`: every example in a few seconds each, nothing written.
#![allow(clippy::print_stdout, reason = "a task talks to the person who started it")]

mod bench;
mod examples;
mod prepare;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["examples", ref rest @ ..] => {
            let short = rest.contains(&"--short");
            let names: Vec<&str> = rest.iter().copied().filter(|word| *word != "--short").collect();
            examples::run(short, &names)
        }
        _ => bail!("there is one task: cargo xtask examples [--short] [NAME…]"),
    }
}
