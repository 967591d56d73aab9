//! Tasks of the workspace.
//!
//! - `cargo xtask examples [NAME…]`: the examples in full, or those that are named; all of them write
//!   `docs/examples.md`.
//! - `cargo xtask examples --short`: every example in a few seconds each, nothing written.
//! - `cargo xtask bench train [NAME…] [--repeats N] [--seconds S] [--threads N] [--write]`: how fast Luthier and
//!   PyTorch train the same networks; `--write` puts the table into `docs/performance.md`.
//! - `cargo xtask bench mnist-fixed [--repeats SEEDS] [--threads N] [--epochs N] [--write]`: one run on MNIST in both.
//! - `cargo xtask bench storage [--processes 1,4,16,64] [--repeats N] [--seconds S] [--pairs N] [--write]`: trials a second that many
//!   processes store, beside Optuna; with PostgreSQL where `LUTHIER_POSTGRES` is set. `--write` puts the table into
//!   `docs/execution.md`.
//! - `cargo xtask regret [--sampler NAME]… [--pruner NAME]… [--seeds N] [--trials N]`: how good samplers and pruners are on
//!   small analytic problems, in less than a minute (the example `regret` of `luthier-search`).
//!
//! PyTorch and Optuna are those of `$LUTHIER_PYTHON`, or of `python3`.
#![allow(clippy::print_stdout, reason = "a task talks to the person who started it")]

mod bench;
mod examples;
mod prepare;
mod speed;
mod storage;

use std::process::Command;

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["examples", ref rest @ ..] => {
            let short = rest.contains(&"--short");
            let names: Vec<&str> = rest.iter().copied().filter(|word| *word != "--short").collect();
            examples::run(short, &names)
        }
        ["bench", "train", ref rest @ ..] => speed::train(&speed::Options::read(rest)?),
        ["bench", "mnist-fixed", ref rest @ ..] => speed::mnist_fixed(&speed::Options::read(rest)?),
        ["bench", "storage", ref rest @ ..] => storage::run(&storage::Options::read(rest)?),
        ["bench", "storage-worker", ref rest @ ..] => storage::work(rest),
        ["regret", ref rest @ ..] => regret(rest),
        _ => bail!(
            "the tasks are: cargo xtask examples [--short] [NAME…]; cargo xtask bench train [NAME…]; cargo xtask bench \
             mnist-fixed; cargo xtask bench storage; cargo xtask regret"
        ),
    }
}

/// Runs the example, which is built in seconds after a change of a sampler.
fn regret(options: &[&str]) -> Result<()> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["run", "--release", "--quiet", "-p", "luthier-search", "--example", "regret", "--"]);
    let status = command.args(options).status().context("cannot start cargo")?;
    if !status.success() {
        bail!("the example regret has failed");
    }
    Ok(())
}
