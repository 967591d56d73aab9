//! What the commands do otherwise where the objective is a program: `[command]` in place of a training.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use luthier::{Loaded, StudyFile};
use luthier_core::{Evaluation, Objective, Params, Storage, Study, StudyId, Trial, TrialId};
use luthier_runner::{CommandObjective, Interrupt, model_name, stderr_name, stdout_name};
use luthier_train::CheckpointRule;
use serde::Serialize;

use super::check::space;
use super::checkpoints::Checkpoints;
use super::output::{number, print, print_json, seconds, tell};
use super::train::{Alone, TrainArgs, Trained, folder_of_checkpoints, seed};
use super::{Failure, FileArgs, pieces, tune};

#[derive(Serialize)]
struct Checked<'a> {
    study: &'a str,
    objective: &'a str,
    direction: luthier_core::Direction,
    parameters: Vec<luthier_core::Parameter>,
    program: String,
    arguments: Vec<String>,
    resumes: bool,
}

/// `luthier check`: the space, and the program with its arguments.
pub(crate) fn check(args: &FileArgs, file: &StudyFile, command: &CommandObjective) -> Result<(), Failure> {
    let (program, arguments) = command.command_line(&file.space().corners()[0]).map_err(Failure::usage)?;
    let checked = Checked {
        study: &file.study.name,
        objective: command.objective(),
        direction: command.direction(),
        parameters: file.space().iter().cloned().collect(),
        program: program.display().to_string(),
        arguments,
        resumes: command.config().resumes,
    };
    if args.json {
        return print_json(&checked);
    }
    let mut text = format!(
        "study `{}`: {} {}{}\n\n",
        checked.study,
        checked.direction,
        checked.objective,
        super::check::criteria(file)
    );
    let ranges = !checked.parameters.is_empty();
    text += &if ranges { space(file) } else { "no ranges: this file runs one trial\n\n".to_owned() };
    text += &format!(
        "program{}\n  {}",
        if ranges { " with every range at its low end" } else { "" },
        checked.program
    );
    for argument in &checked.arguments {
        text += &if argument.is_empty() || argument.contains(char::is_whitespace) {
            format!(" {argument:?}")
        } else {
            format!(" {argument}")
        };
    }
    text += if checked.resumes {
        "\n  it can pause and go on"
    } else {
        "\n  it cannot pause: `resumes` is false"
    };
    print(&text)
}

/// `luthier train`: one run of the program.
pub(crate) fn train(
    args: &TrainArgs,
    file: &StudyFile,
    command: &CommandObjective,
    started: Instant,
) -> Result<(), Failure> {
    if args.epochs.is_some() || args.test {
        return Err(Failure::usage(
            "--epochs and --test are for trainings by [train]; a program decides itself how long it runs and what it \
             measures",
        ));
    }
    if !pieces::before(file).is_empty() {
        return Err(Failure::usage(
            "trial.before: the trial was forked from others, and a program's pieces are not run again; without the key, \
             the program runs by the values of the last piece alone",
        ));
    }
    let resumes = command.config().resumes;
    if !resumes && (args.checkpoint.is_some() || args.resume.is_some()) {
        return Err(Failure::usage(
            "the program cannot go on from a checkpoint; if it can, say `resumes = true` in [command]",
        ));
    }
    let resumed =
        args.resume.as_ref().map(|path| Checkpoints::read(path)).transpose()?.map(|(_, bytes)| bytes);
    let folder = folder_of_checkpoints(args)?;
    let rule = CheckpointRule { every: None, ..luthier_core::config::defaults() };
    let checkpoints =
        folder.map(|folder| Checkpoints::new(folder, &rule, command.direction(), None)).transpose()?;
    let interrupt = Interrupt::default();
    let next = folder.map_or_else(
        || "nothing is kept of an unfinished run without --checkpoint".to_owned(),
        |folder| format!("--resume {} goes on from there", folder.display()),
    );
    tune::stop_on_signals(&interrupt, format!("ending the program; {next}"))?;
    let mut trial = Alone {
        params: Params::new(),
        seed: seed(file),
        rows: Vec::new(),
        json: args.file.json,
        unit: "step",
        shows: |_| true,
        interrupt,
        resumed,
        until: None,
        lineage: None,
        inherited: None,
        checkpoints,
    };
    let (value, epoch, ending, model) = match command.evaluate(&mut trial)? {
        Evaluation::Complete { value, step, ending, model } => (value, step, ending, model),
        Evaluation::Paused => return Err(Failure::Interrupted),
        Evaluation::Failed(cause) => return Err(Failure::failed(cause)),
        Evaluation::Infeasible(reason) => return Err(Failure::failed(reason)),
        Evaluation::Stopped(reason) => return Err(Failure::failed(reason)),
    };
    if let Some(path) = &args.model {
        tune::write_file(path, &model.ok_or_else(no_checkpoint)?)?;
    }
    let objective = command.objective().to_owned();
    let time = started.elapsed().as_secs_f64();
    let trained = Trained { value, objective, epoch, seconds: time, ending, test: None, epochs: trial.rows };
    if args.file.json {
        return print_json(&trained);
    }
    let step = epoch.unwrap_or(0);
    let mut text = format!("{} {} at step {step}, in {}\n", trained.objective, number(value), seconds(time));
    if let Some(path) = &args.model {
        text += &format!("wrote {}\n", path.display());
    }
    print(&text)
}

fn no_checkpoint() -> Failure {
    Failure::failed(
        "there is no model: the program left nothing in $LUTHIER_CHECKPOINT, the folder for what is to be kept",
    )
}

/// Lets a program's output be kept with the study.
pub(crate) fn keeping_output(loaded: Loaded, storage: &Arc<dyn Storage>, study: StudyId) -> Loaded {
    let Loaded::Command(command) = loaded else { return loaded };
    let storage = Arc::clone(storage);
    let keep = move |name: &str, bytes: &[u8]| {
        storage
            .put_artifact(study, name, bytes)
            .map_err(|error| format!("what a program printed could not be stored: {error}"))
    };
    Loaded::Command(Box::new(command.keeping_output(Box::new(keep))))
}

/// `luthier best --model`: what the winner left in its checkpoint folder, as a tar archive.
pub(crate) fn write_checkpoint(
    storage: &dyn Storage,
    study: &Study,
    trial: TrialId,
    path: &Path,
) -> Result<(), Failure> {
    let bytes = storage.artifact(study.id, &model_name(trial))?.ok_or_else(no_checkpoint)?;
    tune::write_file(path, &bytes)
}

#[derive(Serialize)]
struct Output {
    stdout: String,
    stderr: String,
}

/// `luthier logs --output`: what the program of a trial printed.
pub(crate) fn print_output(
    storage: &dyn Storage,
    study: &Study,
    trial: &Trial,
    json: bool,
) -> Result<(), Failure> {
    let kept = |name: String| -> Result<String, Failure> {
        let bytes = storage.artifact(study.id, &name)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let output = Output { stdout: kept(stdout_name(trial.id))?, stderr: kept(stderr_name(trial.id))? };
    if json {
        return print_json(&output);
    }
    if output.stdout.is_empty() && output.stderr.is_empty() {
        let id = trial.id;
        tell(&format!(
            "nothing is kept of what trial {id} printed; it is kept when a program pauses or ends"
        ));
        return Ok(());
    }
    let between = if output.stdout.is_empty() || output.stdout.ends_with('\n') { "" } else { "\n" };
    print(&[&output.stdout, between, &output.stderr].concat())
}
