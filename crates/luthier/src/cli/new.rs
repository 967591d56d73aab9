//! `luthier new`: a commented study file to begin with.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Failure;
use super::output::print;

/// The templates are the examples, so they cannot go stale.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Template {
    /// A generated problem of classification; runs as it is
    CaseStudy,
    /// A table in a CSV file: predict one column from the others
    Csv,
    /// Handwritten digits, with a convolutional network
    Mnist,
}

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// What to begin with
    #[arg(default_value = "case-study")]
    template: Template,
    /// The file to write; it must not be there yet
    #[arg(short, long, default_value = "study.toml")]
    output: PathBuf,
}

pub(crate) fn run(args: &NewArgs) -> Result<(), Failure> {
    let text = match args.template {
        Template::CaseStudy => include_str!("../../../../examples/case-study.toml"),
        Template::Csv => include_str!("../../../../examples/housing.toml"),
        Template::Mnist => include_str!("../../../../examples/mnist.toml"),
    };
    let path = args.output.display();
    let mut file = std::fs::File::create_new(&args.output).map_err(|error| {
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            Failure::usage(format!("{path} is already there; name another file with --output"))
        } else {
            Failure::failed(format!("cannot write {path}: {error}"))
        }
    })?;
    file.write_all(text.as_bytes())?;
    print(&format!("wrote {path}\ncheck it with  luthier check {path}\nrun it with    luthier tune {path}"))
}
