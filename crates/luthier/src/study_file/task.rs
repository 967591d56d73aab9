//! What the trials of a study file run: a training by `[data]`, `[model]` and `[train]`, or a program by `[command]` and
//! `[params]`.

use luthier_core::Direction;
use luthier_core::config::{
    Decode, Fields, Kind, Node, Policy, Problem, Problems, Template, defaults, nearest,
};
use luthier_runner::{CommandConfig, CommandObjective};
use luthier_search::PrunerConfig;
use luthier_train::model::ModelConfig;
use luthier_train::{DataConfig, Metric, MetricName, TrainConfig};

use super::criteria::each;

/// Where ranges may stand in the file of a training.
const OF_TRAINING: Policy = Policy {
    allowed: &[
        "model",
        "train",
        "data.scale",
        "data.impute",
        "data.missing_flags",
        "data.standardize_target",
        "data.max_words",
        "data.min_count",
        "data.max_length",
        "data.augment",
    ],
    refused: &[("train.epochs", "trials of different length cannot be compared; stop early instead")],
};

/// Where ranges may stand in the file of a program.
const OF_COMMAND: Policy = Policy { allowed: &["params"], refused: &[] };

/// What the trials of a study file run, at the first corner of its space.
#[derive(Debug, Clone)]
pub enum Task {
    /// A training.
    Training {
        /// The section `[data]`.
        data: Box<DataConfig>,
        /// The metric that is tuned, if the file names it.
        objective: Option<MetricName>,
    },
    /// A program.
    Command {
        /// The section `[command]`.
        command: Box<CommandConfig>,
        /// What the program reports, and which way it is good.
        objective: (String, Direction),
    },
}

impl Task {
    /// Whether a file is that of a program.
    pub(super) fn is_command(file: &Node) -> bool {
        file.get("command").is_some() || file.get("params").is_some()
    }

    /// Where ranges may stand.
    pub(super) fn policy(file: &Node) -> &'static Policy {
        if Self::is_command(file) { &OF_COMMAND } else { &OF_TRAINING }
    }

    /// The sections that a task is read from.
    pub(super) fn sections(file: &Node) -> &'static [&'static str] {
        if Self::is_command(file) { &["command", "params"] } else { &["data", "model", "train"] }
    }

    /// Reads it from a file without ranges.
    pub(super) fn read(file: &Node, sections: &Fields<'_>, problems: &mut Problems) -> Option<Self> {
        if Self::is_command(file) {
            let command = Box::new(CommandObjective::read(file, problems)?);
            // Found by `complete`, in the file as it is written.
            return Some(Self::Command { command, objective: (String::new(), Direction::Minimize) });
        }
        let data = sections.required("data", problems);
        let model: Option<ModelConfig> = sections.or("model", defaults, problems);
        if let (Some(model), Some(node)) = (&model, file.get("model")) {
            model.check(node, problems);
        }
        let train: Option<TrainConfig> = sections.required("train", problems);
        let (_, _) = (model?, train?);
        Some(Self::Training { data: Box::new(data?), objective: None })
    }

    /// Finds out what is tuned, and checks what joins the task with other sections. There is no task where its own
    /// sections have problems.
    pub(super) fn complete(
        task: Option<&mut Self>,
        root: &Node,
        template: &Template,
        problems: &mut Problems,
    ) {
        if Self::is_command(root) {
            refuse_pauses(root, problems);
            if let (Some(found), Some(Self::Command { objective, .. })) = (reported(root, problems), task) {
                *objective = found;
            }
        } else if let (found, Some(Self::Training { objective, .. })) =
            (metric(root, template, problems), task)
        {
            *objective = found;
        }
    }
}

fn study<'a>(root: &'a Node, key: &str) -> Option<&'a Node> {
    root.get("study")?.get(key)
}

/// The same, the first of a list.
fn first<'a>(root: &'a Node, key: &str) -> Option<&'a Node> {
    each(study(root, key)?).into_iter().next()
}

/// The first metric that the file names.
fn metric(root: &Node, template: &Template, problems: &mut Problems) -> Option<MetricName> {
    let objective = MetricName::decode(first(root, "objective")?, "study.objective", problems);
    let of_loss = |name: &str| {
        name.strip_prefix("train.loss").is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let searched_loss = template.space().iter().find(|param| of_loss(&param.name));
    if objective.is_some_and(|objective| objective.metric == Metric::Loss)
        && let Some(param) = searched_loss
    {
        problems.add(
            template.line(&param.name).unwrap_or(0),
            &param.name,
            "one loss: the objective is that loss, and different losses cannot be compared",
            "a range",
        );
    }
    objective
}

/// What a program reports, and which way it is good.
fn reported(root: &Node, problems: &mut Problems) -> Option<(String, Direction)> {
    let line = root.get("study").map_or(0, |study| study.line);
    let Some(name) = first(root, "objective") else {
        problems.add(
            line,
            "study.objective",
            "the name of what the program reports, such as \"val_loss\"",
            "nothing: the key is missing",
        );
        return None;
    };
    let objective = name.as_str().filter(|text| !text.trim().is_empty() && *text != "step");
    let Some(objective) = objective else {
        problems.add(
            name.line,
            "study.objective",
            "the name of what the program reports, such as \"val_loss\"",
            name.describe(),
        );
        return None;
    };
    let direction = match first(root, "direction").and_then(Node::as_str) {
        Some("minimize") => Some(Direction::Minimize),
        Some("maximize") => Some(Direction::Maximize),
        // What else may stand there is a problem of its own.
        Some(_) => return None,
        None => MetricName::parse(objective).map(MetricName::direction),
    };
    if direction.is_none() {
        problems.push(Problem {
            line: Some(name.line).filter(|line| *line > 0),
            path: "study.direction".to_owned(),
            expected: "\"minimize\" or \"maximize\"".to_owned(),
            found: format!("nothing, and {objective:?} is none of Luthier's metrics, which imply it"),
            help: nearest(objective, MetricName::all().iter().map(String::as_str))
                .map(|near| format!("did you mean the objective {near:?}?")),
        });
    }
    Some((objective.to_owned(), direction?))
}

/// A pruner that lets new trials only begin to pause is of no use where programs cannot go on.
fn refuse_pauses(root: &Node, problems: &mut Problems) {
    let resumes = root.get("command").and_then(|command| command.get("resumes"));
    let Some(node) = root.get("search").and_then(|search| search.get("pruner")) else { return };
    // What cannot be read is reported where the section is.
    let Some(pruner) = PrunerConfig::decode(node, "", &mut Problems::new("")) else { return };
    if !pruner.pauses() || resumes.is_some_and(|resumes| resumes.kind == Kind::Bool(true)) {
        return;
    }
    problems.push(Problem {
        line: Some(node.line).filter(|line| *line > 0),
        path: "search.pruner".to_owned(),
        expected: "a pruner that pauses no trial: the program cannot go on from a checkpoint".to_owned(),
        found: node.describe(),
        help: Some(
            "take \"asha_stop\" or \"median\"; or say `resumes = true` in [command], if the program goes on from \
             what is in $LUTHIER_CHECKPOINT"
                .to_owned(),
        ),
    });
}

/// Wilcoxon's test compares the folds of trials, and takes their means so far for what trials report.
pub(super) fn refuse_wilcoxon(root: &Node, problems: &mut Problems) {
    let Some(node) = root.get("search").and_then(|search| search.get("pruner")) else { return };
    let Some(PrunerConfig::Wilcoxon(_)) = PrunerConfig::decode(node, "", &mut Problems::new("")) else {
        return;
    };
    let split =
        |key: &str| root.get("data").and_then(|data| data.get("split")).and_then(|split| split.get(key));
    if !Task::is_command(root) && split("folds").is_some() && split("fold").is_none() {
        return;
    }
    problems.push(Problem {
        line: Some(node.line).filter(|line| *line > 0),
        path: "search.pruner".to_owned(),
        expected: "a pruner of learning curves: the reports of a trial are not the means over its folds".to_owned(),
        found: node.describe(),
        help: Some(
            "take \"median\", or say `split = { folds = 5 }` in [data]; for other instances, such as seeds, use ask-tell \
             or Rust"
                .to_owned(),
        ),
    });
}
