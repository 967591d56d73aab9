//! What counts beside the first objective: further objectives, and constraints on parameters and on results.

use luthier_core::config::{Decode, Kind, Node, Problem, Problems, Schema, Template, nearest};
use luthier_core::{Constraint, Criteria, Direction, Goal, Params, Space, Value};
use luthier_search::PrunerConfig;
use luthier_train::{Metric, MetricName};

/// One text, or a list of several.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OneOrMore(pub Vec<String>);

impl OneOrMore {
    /// The first of them.
    pub fn first(&self) -> Option<&str> {
        self.0.first().map(String::as_str)
    }
}

impl Decode for OneOrMore {
    const EXPECTED: &'static str = "text, or a list of texts";

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        let texts = each(node).into_iter().map(|node| node.as_str().map(str::to_owned));
        let read: Option<Vec<String>> = texts.collect();
        let read = read.filter(|texts| !texts.is_empty());
        if read.is_none() {
            problems.add(node.line, path, Self::EXPECTED, node.describe());
        }
        read.map(Self)
    }

    fn schema() -> Schema {
        Schema::Value { expected: Self::EXPECTED.to_owned(), parts: Vec::new() }
    }

    fn written(&self) -> Option<String> {
        match self.0.as_slice() {
            [one] => Some(format!("{one:?}")),
            several => Some(format!("{several:?}")),
        }
    }
}

/// The nodes of a list, or the node itself.
pub(super) fn each(node: &Node) -> Vec<&Node> {
    match &node.kind {
        Kind::Array(items) => items.iter().collect(),
        _ => vec![node],
    }
}

fn setting<'a>(root: &'a Node, section: &str, key: &str) -> Option<&'a Node> {
    root.get(section)?.get(key)
}

fn line(node: &Node, list: &Node) -> usize {
    if node.line > 0 { node.line } else { list.line }
}

/// Further objectives and constraints of a file, and its space with the constraints on parameters.
pub(super) fn read(
    root: &Node,
    template: &Template,
    is_command: bool,
    problems: &mut Problems,
) -> (Criteria, Space) {
    let objectives = objectives(root, is_command, problems);
    let space = template.space();
    let (on_results, on_parameters) = constraints(root, template, is_command, problems);
    let criteria = Criteria { objectives, constraints: on_results };
    if !criteria.objectives.is_empty() {
        refuse_what_needs_one(root, problems);
    }
    // Each was tried by itself before.
    let space = space.clone().with_constraints(on_parameters).unwrap_or_else(|_| space.clone());
    (criteria, space)
}

/// The objectives behind the first one, with their directions.
fn objectives(root: &Node, is_command: bool, problems: &mut Problems) -> Vec<Goal> {
    let Some(list) = setting(root, "study", "objective") else { return Vec::new() };
    let names = each(list);
    let written = setting(root, "study", "direction");
    let directions: Vec<Option<&str>> =
        written.map_or_else(Vec::new, |node| each(node).into_iter().map(Node::as_str).collect());
    if let Some(node) = written
        && directions.len() != names.len()
    {
        problems.add(
            node.line,
            "study.direction",
            format!(
                "one for each of the {} objectives, or nothing where Luthier's metrics imply them",
                names.len()
            ),
            node.describe(),
        );
        return Vec::new();
    }
    let mut goals = Vec::new();
    for (place, node) in names.iter().enumerate().skip(1) {
        let path = format!("study.objective[{place}]");
        let metric = if is_command {
            node.as_str().and_then(MetricName::parse)
        } else {
            MetricName::decode(node, &path, problems)
        };
        let Some(name) = node.as_str() else { continue };
        let direction = match directions.get(place) {
            Some(Some("minimize")) => Some(Direction::Minimize),
            Some(Some("maximize")) => Some(Direction::Maximize),
            _ => metric.map(MetricName::direction),
        };
        let is_known = names[..place].iter().any(|other| other.as_str() == Some(name));
        if is_known {
            problems.add(
                line(node, list),
                &path,
                "an objective that is not among the others",
                format!("{name:?} twice"),
            );
        }
        match direction {
            Some(direction) => goals.push(Goal { name: name.to_owned(), direction }),
            None if is_command => problems.add(
                line(node, list),
                "study.direction",
                "a list with \"minimize\" or \"maximize\" for each objective",
                format!("nothing, and {name:?} is none of Luthier's metrics, which imply it"),
            ),
            None => {}
        }
    }
    goals
}

/// The value of what has one in the file: a range that keeps to one, or a value that is written at this path.
pub(super) fn constant(root: &Node, template: &Template, name: &str) -> Option<Value> {
    let written = || name.split('.').try_fold(root, |node, key| node.get(key))?.as_value();
    template.fixed(name).cloned().or_else(written)
}

/// The constraints of a file on results and on parameters.
fn constraints(
    root: &Node,
    template: &Template,
    is_command: bool,
    problems: &mut Problems,
) -> (Vec<Constraint>, Vec<Constraint>) {
    let (mut on_results, mut on_parameters) = (Vec::new(), Vec::new());
    let space = template.space();
    let Some(list) = setting(root, "search", "constraints") else { return (on_results, on_parameters) };
    for node in each(list) {
        let Some(text) = node.as_str() else { continue };
        let mut wrong = |expected: &str, found: String, help: Option<String>| {
            problems.push(Problem {
                line: Some(line(node, list)).filter(|line| *line > 0),
                path: "search.constraints".to_owned(),
                expected: expected.to_owned(),
                found,
                help,
            });
        };
        let constraint = match Constraint::parse(text) {
            // A filled-in file has nothing but values, and no trial is chosen.
            Ok(constraint) if space.is_empty() => constraint,
            Ok(constraint) => constraint.with(|name| constant(root, template, name)),
            Err(error) => {
                wrong("a constraint such as \"weights <= 100000\"", format!("{text:?}: {error}"), None);
                continue;
            }
        };
        let names = constraint.names();
        let is_parameter = |name: &str| space.get(name).is_some();
        if names.is_empty() && !constraint.holds(&Params::new()) {
            wrong("a constraint that something keeps", format!("{text:?}, and none of it may vary"), None);
            continue;
        }
        if names.iter().all(|name| is_parameter(name)) {
            match space.clone().with_constraints([constraint.clone()]) {
                Ok(_) => on_parameters.push(constraint),
                Err(error) => {
                    wrong("a constraint that can be judged by the parameters", error.to_string(), None);
                }
            }
            continue;
        }
        let metrics = MetricName::all();
        // The parameter that a name is without its prefix: nobody calls a metric so.
        let prefixed = |name: &str| space.get(&format!("params.{name}")).map(|one| one.name.as_str());
        let is_metric = |name: &str| {
            let section =
                ["params.", "train.", "model.", "data."].iter().any(|section| name.starts_with(section));
            !section && prefixed(name).is_none() && (is_command || MetricName::parse(name).is_some())
        };
        let unknown = names.iter().find(|name| !is_parameter(name) && !is_metric(name));
        if unknown.is_some() && space.is_empty() {
            // A filled-in file: its parameters have no ranges any more, and no trial is chosen.
            continue;
        }
        if let Some(unknown) = unknown {
            let known = space.iter().map(|one| one.name.as_str()).chain(metrics.iter().map(String::as_str));
            let ends = |name: &str| name.strip_suffix(unknown).is_some_and(|before| before.ends_with('.'));
            let ending = || space.iter().map(|one| one.name.as_str()).find(|name| ends(name));
            let near = prefixed(unknown).or_else(ending).or_else(|| nearest(unknown, known));
            let help = near.map(|near| format!("did you mean `{near}`?"));
            wrong("names of parameters with ranges, or of metrics", format!("`{unknown}` in {text:?}"), help);
        } else if let Some(name) = names.iter().find(|name| is_parameter(name)) {
            let found = format!("{text:?}, where `{name}` is a parameter and others are metrics");
            wrong("a constraint on parameters, or one on metrics", found, None);
        } else if constraint.is_limit() {
            on_results.push(constraint);
        } else {
            wrong("a limit on metrics, `a <= b` or `a >= b`", format!("{text:?}"), None);
        }
    }
    (on_results, on_parameters)
}

/// What makes sense with one objective only.
fn refuse_what_needs_one(root: &Node, problems: &mut Problems) {
    if let Some(node) = setting(root, "study", "target") {
        problems.add(
            node.line,
            "study.target",
            "nothing: several objectives have no one value to reach",
            node.describe(),
        );
    }
    // What cannot be read is reported where the section is.
    if let Some(node) = setting(root, "search", "pruner")
        && let Some(pruner) = PrunerConfig::decode(node, "", &mut Problems::new(""))
        && let Err(expected) = pruner.for_several_objectives()
    {
        problems.add(node.line, "search.pruner", expected, node.describe());
    }
}

/// The metrics that the criteria of a training need.
pub(super) fn metrics(criteria: &Criteria) -> Vec<(String, Metric)> {
    let named = |name: &str| Some((name.to_owned(), MetricName::parse(name)?.metric));
    criteria.metrics().into_iter().filter_map(named).collect()
}
