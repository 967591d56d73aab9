//! The names of metrics in study files: `val_f1_macro`, `train_loss`, `latency_ms`.

use luthier_core::Direction;
use luthier_core::config::{Decode, Node, Problem, Problems, nearest};

use super::{METRICS, Metric};

/// What a metric is measured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The examples of the epoch, as the model answered them while it was trained.
    Train,
    /// The validation rows.
    Val,
    /// The model or its run, not predictions.
    Model,
}

/// A metric with what it is measured on: what a training is judged by, or what is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MetricName {
    /// What it is measured on.
    pub part: Part,
    /// The metric.
    pub metric: Metric,
}

impl MetricName {
    /// A metric on the validation rows, or a cost of the model.
    pub fn val(metric: Metric) -> Self {
        Self { part: if metric.is_cost() { Part::Model } else { Part::Val }, metric }
    }

    /// Its name: `val_accuracy`, `train_loss`, `latency_ms`.
    pub fn name(self) -> String {
        let prefix = match self.part {
            Part::Train => "train_",
            Part::Val => "val_",
            Part::Model => "",
        };
        format!("{prefix}{}", self.metric.name())
    }

    /// The metric of this name.
    ///
    /// ```
    /// use luthier_train::{Metric, MetricName};
    /// let name = MetricName::parse("val_top3").unwrap();
    /// assert_eq!((name.metric, name.name().as_str()), (Metric::Top(3), "val_top3"));
    /// assert_eq!(MetricName::parse("top3"), None);
    /// assert!(MetricName::parse("flops").is_some());
    /// ```
    pub fn parse(name: &str) -> Option<Self> {
        let (part, rest) = if let Some(rest) = name.strip_prefix("val_") {
            (Part::Val, rest)
        } else if let Some(rest) = name.strip_prefix("train_") {
            (Part::Train, rest)
        } else {
            (Part::Model, name)
        };
        let metric = Metric::parse(rest)?;
        (metric.is_cost() == (part == Part::Model)).then_some(Self { part, metric })
    }

    /// All names, of validation, of training and of costs.
    pub fn all() -> Vec<String> {
        let parts = [Part::Val, Part::Train, Part::Model];
        let named = |part| METRICS.iter().map(move |entry| Self { part, metric: entry.metric });
        let fits = |name: &Self| name.metric.is_cost() == (name.part == Part::Model);
        parts.into_iter().flat_map(named).filter(fits).map(Self::name).collect()
    }

    /// Which way it is good.
    pub fn direction(self) -> Direction {
        self.metric.direction()
    }
}

/// The names of the metrics that `keep` is true of, for messages.
fn listed(keep: impl Fn(Metric) -> bool, of: impl Fn(Metric) -> String) -> Vec<String> {
    METRICS.iter().filter(|entry| keep(entry.metric)).map(|entry| of(entry.metric)).collect()
}

/// Adds the problem of a name that is none, with the name it is nearest to.
fn unknown(node: &Node, path: &str, what: &str, names: &[String], near: &[String], problems: &mut Problems) {
    let text = node.as_str();
    problems.push(Problem {
        line: (node.line > 0).then_some(node.line),
        path: path.to_owned(),
        expected: format!("{what} {}", names.join(", ")),
        found: node.describe(),
        help: text
            .and_then(|text| nearest(text, near.iter().map(String::as_str)))
            .map(|near| format!("did you mean {near:?}?")),
    });
}

impl Decode for Metric {
    const EXPECTED: &'static str = "a metric";

    fn written(&self) -> Option<String> {
        Some(format!("{:?}", self.name()))
    }

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        let read = node.as_str().and_then(Self::parse);
        if read.is_none() {
            let names = listed(|_| true, Self::name);
            unknown(node, path, "one of", &names, &names, problems);
        }
        read
    }
}

impl Decode for MetricName {
    const EXPECTED: &'static str = "a metric with `val_` or `train_`, or a cost";

    fn written(&self) -> Option<String> {
        Some(format!("{:?}", self.name()))
    }

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        let read = node.as_str().and_then(Self::parse);
        if read.is_none() {
            let measured = |metric: Metric| !metric.is_cost();
            let val = |metric| Self { part: Part::Val, metric }.name();
            let train = |metric| Self { part: Part::Train, metric }.name();
            let costs = listed(Metric::is_cost, Metric::name);
            let mut names = listed(measured, Metric::name);
            let last = names.pop().unwrap_or_default();
            names.push(format!("{last}; or one of {}", costs.join(", ")));
            let mut near = listed(measured, val);
            near.extend(listed(measured, train));
            near.extend(costs);
            unknown(node, path, "`val_` or `train_` and one of", &names, &near, problems);
        }
        read
    }
}
