//! `luthier check`: what a study file comes to, without training.

use luthier::{Loaded, StudyFile, Training};
use luthier_train::device;
use serde::Serialize;

use super::notices::notices;
use super::output::{print, print_json, table, table_text};
use super::place::with_progress;
use super::{Failure, FileArgs, program};

#[derive(Serialize)]
struct Checked {
    study: String,
    objective: String,
    direction: luthier_core::Direction,
    parameters: Vec<luthier_core::Parameter>,
    examples: Examples,
    /// What to know of the data.
    notices: Vec<String>,
    layers: Vec<Stage>,
    /// The kernels that compute the model; nothing where Burn does.
    kernels: Option<Vec<String>>,
    weights: usize,
    largest: usize,
}

#[derive(Serialize)]
struct Examples {
    train: usize,
    validation: usize,
    test: usize,
}

#[derive(Serialize)]
struct Stage {
    layer: String,
    shape: Vec<usize>,
    weights: usize,
}

pub(crate) fn run(args: &FileArgs) -> Result<(), Failure> {
    let device = device(&args.device).map_err(Failure::usage)?;
    let file = StudyFile::open(&args.file, &args.sets)?;
    match with_progress(|progress| file.load(device, progress))? {
        Loaded::Training(training) => check_training(args, &file, &training),
        Loaded::Command(command) => program::check(args, &file, &command),
    }
}

fn check_training(args: &FileArgs, file: &StudyFile, training: &Training) -> Result<(), Failure> {
    let experiment = &training.experiment;
    let corners = file.space().corners();
    let name = args.file.display().to_string();
    let stages = experiment.summarize(&corners[0], &name)?;
    let weights =
        |stages: &[luthier_train::model::StageSummary]| stages.iter().map(|stage| stage.weights).sum();
    let mut largest: usize = 0;
    for corner in &corners {
        largest = largest.max(weights(&experiment.summarize(corner, &name)?));
    }
    let split = experiment.split();
    let checked = Checked {
        study: file.study.name.clone(),
        objective: training.objective.name(),
        direction: training.direction,
        parameters: file.space().iter().cloned().collect(),
        examples: Examples {
            train: split.train.len(),
            validation: split.validation.len(),
            test: split.test.len(),
        },
        notices: notices(experiment, &corners[0])?,
        kernels: experiment.kernels(&corners[0]),
        weights: weights(&stages),
        layers: stages
            .into_iter()
            .map(|stage| Stage { layer: stage.layer, shape: stage.shape.dims(), weights: stage.weights })
            .collect(),
        largest,
    };
    if args.json {
        return print_json(&checked);
    }
    print(&text(file, &checked, &experiment.dataset().summary().to_string()))
}

fn text(file: &StudyFile, checked: &Checked, data: &str) -> String {
    let mut text = format!(
        "study `{}`: {} {}{}\n\n",
        checked.study,
        checked.direction,
        checked.objective,
        criteria(file)
    );
    text += &format!("data\n{}", indented(data));
    let Examples { train, validation, test } = &checked.examples;
    text += &format!("  split: {train} to train, {validation} to validate, {test} sealed to test\n");
    text += &checked.notices.iter().map(|notice| format!("  note: {notice}\n")).collect::<String>();
    text.push('\n');

    text += &if checked.parameters.is_empty() {
        "no ranges: this file trains one model\n\n".to_owned()
    } else {
        space(file)
    };

    let mut rows = table(["  layer", "shape behind it", "weights"]);
    for layer in &checked.layers {
        rows.add_row([
            format!("  {}", layer.layer),
            format!("{:?}", layer.shape),
            if layer.weights > 0 { layer.weights.to_string() } else { String::new() },
        ]);
    }
    let which = if checked.parameters.is_empty() { "" } else { " with every range at its low end" };
    text += &format!("model{which}\n{}", table_text(&rows));
    text += &format!("  {} weights", checked.weights);
    if checked.largest > checked.weights {
        text += &format!(", up to {} in the space", checked.largest);
    }
    text += &match &checked.kernels {
        Some(kernels) => format!("\n  computed by the kernels: {}", kernels.join("; ")),
        None => "\n  computed by Burn".to_owned(),
    };
    text
}

/// Further objectives and constraints, behind the first objective.
pub(crate) fn criteria(file: &StudyFile) -> String {
    let goals = file.criteria.objectives.iter().map(|goal| format!(", {} {}", goal.direction, goal.name));
    let constraints = file.space().constraints().iter().chain(&file.criteria.constraints);
    let constraints = constraints.map(|constraint| format!("\n  where {constraint}"));
    goals.chain(constraints).collect()
}

/// The ranges of a file, and where they stand.
pub(crate) fn space(file: &StudyFile) -> String {
    let mut rows = table(["  parameter", "range", "only if", "line"]);
    let mut count = 0;
    for parameter in file.space().iter() {
        count += 1;
        let conditions: Vec<String> = parameter.conditions.iter().map(condition).collect();
        let line = file.line(&parameter.name).filter(|line| *line > 0);
        let line = line.map_or_else(|| "--set".to_owned(), |line| line.to_string());
        let mut range = parameter.distribution.to_string();
        if let Some(prior) = &parameter.prior {
            range += &format!("; believed around {}", prior.around);
        }
        if parameter.role == luthier_core::Role::Scientific {
            range += "; scientific";
        }
        rows.add_row([format!("  {}", parameter.name), range, conditions.join(", "), line]);
    }
    format!("space: {count} parameters\n{}\n", table_text(&rows))
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

fn condition(condition: &luthier_core::Condition) -> String {
    match condition {
        luthier_core::Condition::In { param, values } => {
            let values: Vec<String> = values.iter().map(ToString::to_string).collect();
            format!("{param} is {}", values.join(" or "))
        }
        luthier_core::Condition::AtLeast { param, value } => format!("{param} ≥ {value}"),
    }
}
