//! `luthier export`: a study for other programs.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use luthier::{StudyFile, exchange};
use luthier_core::{History, Space, Study};
use luthier_storage::optuna;
use serde::Serialize;

use super::output::{print, print_json, tell};
use super::place::study_with_history;
use super::tune::write_file;
use super::{Failure, StudyArgs};

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    study: StudyArgs,
    /// What to write; left out, the file's extension says it
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The file to write; without one, CSV and JSON are printed
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// One row a report in place of one row a trial (CSV and Parquet; JSON has both)
    #[arg(long)]
    reports: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// A table, one row a trial (.csv)
    Csv,
    /// Everything, trials with their reports (.json)
    Json,
    /// A table with typed columns (.parquet)
    Parquet,
    /// An SQLite database for Optuna 5 and its dashboard (.db, .sqlite, .sqlite3)
    Optuna,
}

impl Format {
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "json" => Some(Self::Json),
            "parquet" => Some(Self::Parquet),
            "db" | "sqlite" | "sqlite3" => Some(Self::Optuna),
            _ => None,
        }
    }
}

#[derive(Serialize)]
struct Written {
    study: String,
    format: Format,
    trials: usize,
    file: String,
}

pub(crate) fn run(args: &ExportArgs) -> Result<(), Failure> {
    let format = format(args)?;
    let (_, study, history) = study_with_history(&args.study)?;
    if format == Format::Optuna
        && let Some(path) = &args.output
    {
        for notice in optuna::export(path, &study, &history, space(&study, &history).as_ref())? {
            tell(&format!("note: {notice}"));
        }
        return written(args, format, &study, &history, path);
    }
    let table = || if args.reports { exchange::reports(&history) } else { exchange::trials(&history) };
    let bytes = match format {
        Format::Csv => table().csv()?,
        Format::Parquet => table().parquet()?,
        Format::Json | Format::Optuna => {
            let mut text = exchange::json(&study, &history)?;
            text.push('\n');
            text.into_bytes()
        }
    };
    match &args.output {
        None => print(&String::from_utf8_lossy(&bytes)),
        Some(path) => {
            write_file(path, &bytes)?;
            written(args, format, &study, &history, path)
        }
    }
}

/// The format that is meant, if it goes with the other words.
fn format(args: &ExportArgs) -> Result<Format, Failure> {
    let implied = match &args.output {
        Some(path) => Format::of(path),
        None => args.study.json.then_some(Format::Json),
    };
    let format = args.format.or(implied).ok_or_else(|| {
        Failure::usage("expected a format, found neither --format nor a file whose extension says it: --format csv, json, parquet or optuna")
    })?;
    match (format, &args.output) {
        (Format::Parquet | Format::Optuna, None) => {
            Err(Failure::usage("this format is no text: name the file to write with -o FILE"))
        }
        (Format::Csv, None) if args.study.json => {
            Err(Failure::usage("--json prints JSON, and --format csv asks for CSV: leave one of them out"))
        }
        (Format::Json | Format::Optuna, _) if args.reports => {
            Err(Failure::usage("--reports is for tables (csv, parquet): this format has trials and reports"))
        }
        _ => Ok(format),
    }
}

/// The ranges of a study that was made by a study file.
fn space(study: &Study, history: &History) -> Option<Space> {
    let session = history.session().and_then(|session| session.file.as_deref());
    let text = session.or(study.definition.file.as_deref())?;
    let file = StudyFile::parse(text, Path::new("study.toml"), &[]);
    if file.is_err() {
        tell("note: the stored study file cannot be read by this version, so its ranges are not known");
    }
    Some(file.ok()?.space().clone())
}

fn written(
    args: &ExportArgs,
    format: Format,
    study: &Study,
    history: &History,
    path: &Path,
) -> Result<(), Failure> {
    let (name, trials, file) =
        (study.definition.name.clone(), history.trials().len(), path.display().to_string());
    if args.study.json {
        return print_json(&Written { study: name, format, trials, file });
    }
    print(&format!("wrote {trials} trial{} of study `{name}` to {file}", if trials == 1 { "" } else { "s" }))
}
