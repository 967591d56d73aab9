//! The command line: what may be typed, and who does it.

mod ask_tell;
mod best;
mod branch;
mod check;
mod checkpoints;
mod delete;
mod devices;
mod evaluate;
mod export;
mod failure;
mod import;
mod importance;
mod launch;
mod logs;
mod new;
mod notices;
mod outcome;
mod output;
mod pieces;
mod place;
mod predict;
mod program;
mod progress;
mod studies;
mod train;
mod trials;
mod tune;
mod verify;
mod work;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use failure::Failure;

/// Trains and tunes deep-learning models.
#[derive(Debug, Parser)]
#[command(
    name = "luthier",
    version,
    after_help = "Exit codes: 0 done, 1 failed, 2 misuse or a file that cannot be used, 130 interrupted.\n\
                  Progress goes to stderr, results go to stdout."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a commented study file to begin with
    New(new::NewArgs),
    /// Check a study file and show its space, data and model; train nothing
    Check(FileArgs),
    /// Train once, by a study file without ranges
    Train(train::TrainArgs),
    /// Find the best model, by a study file with ranges; again to go on
    Tune(tune::TuneArgs),
    /// Work on a study beside others, here or on another machine
    Worker(worker::WorkerArgs),
    /// Let Slurm, Ray or Kubernetes place workers on many machines, and watch them
    Launch(launch::LaunchArgs),
    /// Show the winner of a study; write its file and its model
    Best(best::BestArgs),
    /// Show which parameters of a study made a difference
    Importance(importance::ImportanceArgs),
    /// Measure a model on labelled data
    Evaluate(evaluate::EvaluateArgs),
    /// Use a model on new data
    Predict(predict::PredictArgs),
    /// List the studies of a storage
    Studies(studies::StudiesArgs),
    /// List the trials of a study
    Trials(trials::TrialsArgs),
    /// Show the epochs of a trial, or what its program printed
    Logs(logs::LogsArgs),
    /// Write the trials of a study for other programs: a table, or a database of Optuna
    Export(export::ExportArgs),
    /// Take a study of Optuna into a storage, to look at or to go on with
    Import(import::ImportArgs),
    /// Lengthen a trial: a new one that goes on from its checkpoint as it would have gone on itself
    Extend(branch::ExtendArgs),
    /// Branch a trial: a new one that goes on from its checkpoint under other values
    Fork(branch::ForkArgs),
    /// Make every proposal and decision of a study again, and train its winner again: do they agree?
    Verify(verify::VerifyArgs),
    /// Delete a study with all that belongs to it
    Delete(delete::DeleteArgs),
    /// Search for any program: asks and tells as lines of JSON on stdin and stdout
    AskTell,
    /// Print all that a study file may say, with formulas and defaults, as Markdown
    Reference,
    /// Print a script that completes commands in a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// A study file and how to read it.
#[derive(Debug, Args)]
struct FileArgs {
    /// The study file
    file: PathBuf,
    /// Put a value or a range into the file first: train.epochs=5, 'model.layers.dense1.dense={int=[8,64]}'
    #[arg(long = "set", value_name = "PATH=VALUE")]
    sets: Vec<String>,
    /// Where to compute
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// A study in a storage.
#[derive(Debug, Args)]
struct StudyArgs {
    /// The study's name, or its study file
    study: String,
    #[command(flatten)]
    storage: StorageArgs,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Where studies are kept.
#[derive(Debug, Args)]
struct StorageArgs {
    // As an attribute: in a comment the URL would be a link.
    #[arg(
        long,
        value_name = "URL",
        env = luthier::launch::STORAGE_VARIABLE,
        hide_env_values = true,
        help = "Where studies are kept: a file (sqlite:PATH) or a database \
        (postgres://USER@HOST/DATABASE, with ?files=s3://BUCKET/PREFIX or ?files=/FOLDER for checkpoints and models) \
        [default: luthier.db beside the study file, else here]"
    )]
    storage: Option<String>,
}

impl StorageArgs {
    /// What to add to a command for the same storage; nothing where the environment says it, perhaps with a password.
    fn as_option(&self) -> String {
        match &self.storage {
            Some(url) if std::env::var(luthier::launch::STORAGE_VARIABLE).as_ref() != Ok(url) => {
                format!(" --storage {url}")
            }
            _ => String::new(),
        }
    }
}

/// Reads the command line and does what it says.
pub(crate) fn main() -> ExitCode {
    // Nobody should ever see this. If so, in one line, and as a failure.
    std::panic::set_hook(Box::new(|panic| {
        output::tell(&format!("internal error: {panic}\nthis is a defect of luthier: please report it"));
    }));
    let cli = Cli::parse();
    match std::panic::catch_unwind(|| run(cli)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => failure.report(),
        Err(_) => ExitCode::from(1),
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::New(args) => new::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Tune(args) => tune::run(&args),
        Command::Worker(args) => worker::run(&args),
        Command::Launch(args) => launch::run(args),
        Command::Best(args) => best::run(&args),
        Command::Importance(args) => importance::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Studies(args) => studies::run(&args),
        Command::Trials(args) => trials::run(&args),
        Command::Logs(args) => logs::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Extend(args) => branch::extend(&args),
        Command::Fork(args) => branch::fork(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Delete(args) => delete::run(&args),
        Command::AskTell => ask_tell::run(),
        Command::Reference => output::print(&luthier::reference::page()),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "luthier", &mut script);
            output::print(&String::from_utf8_lossy(&script))
        }
    }
}
