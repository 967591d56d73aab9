//! The `luthier` program.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Beside the program of a trial, this one is started once more to watch over it.
    if let Some(code) = luthier_runner::supervise_if_asked() {
        return code;
    }
    cli::main()
}
