//! Early stopping: when a training ends before its last epoch, and what is tried first.

use std::fmt;
use std::time::Duration;

use luthier_core::Direction;
use luthier_core::config::{Bound, Decode, Kind, Node, Problems, bounds};
use serde::{Deserialize, Serialize};

use crate::schedule::{Reading, Readings};

luthier_core::settings! {
    /// Stops a training that no longer gets better, that is good enough, or that takes too long.
    ///
    /// A report is a measurement of the validation data: after each epoch, or as often as
    /// `validate_every` says.
    #[derive(Debug, Clone, PartialEq)]
    pub struct EarlyStopping {
        /// The metric that is watched, such as "val_loss"; the objective, if left out.
        monitor: Option<String> = None;
        /// Reports without an improvement after which the training stops (or the first remedy is tried):
        /// 3 to 20 as a rule, more for noisy metrics. Left out: it never stops for that reason.
        patience: Option<u64> = None, bounds::COUNT;
        /// The smallest change that is an improvement, in the unit of the metric.
        min_delta: f64 = 0.0, bounds::NOT_NEGATIVE;
        /// The training stops when the metric is above this: good enough, or hopeless.
        stop_above: Option<f64> = None;
        /// The training stops when the metric is below this: good enough, or hopeless.
        stop_below: Option<f64> = None;
        /// The training stops when it has run for this long, such as "10m". The result then depends on the
        /// speed of the machine.
        time_limit: Option<Duration> = None;
        /// Whether the weights of the best report become the result; else those of the last.
        restore_best: bool = true;
        /// What is tried before the training stops, each time the patience is used up: { lower_rate = 0.1,
        /// times = 2 } or { grow_batch = 2.0, max = 1024, times = 3 }, or a list of them.
        first: Remedies = Remedies(Vec::new());
        /// What a metric that is NaN or infinite leads to: "stop", with the last good weights, or "ignore",
        /// which counts it as a report without an improvement.
        nan: OnNan = OnNan::Stop;
    }
}

impl EarlyStopping {
    /// What a file's table has to keep to, beside the rules of each key.
    pub const MAKES_SENSE: Bound<Self> = Bound {
        expected: "at least one of patience, stop_above, stop_below and time_limit, and `first` only beside patience",
        holds: |stopping| {
            let conditions = stopping.patience.is_some()
                || stopping.stop_above.is_some()
                || stopping.stop_below.is_some()
                || stopping.time_limit.is_some();
            conditions && (stopping.patience.is_some() || stopping.first.0.is_empty())
        },
    };

    /// The metric that it depends on; the objective, if none.
    pub fn monitor(&self) -> Option<&str> {
        self.monitor.as_deref()
    }

    /// Why the training stops after so much time, if it does. It may be asked at any step.
    pub fn out_of_time(&self, elapsed: Duration) -> Option<Cause> {
        let limit = self.time_limit?;
        (elapsed >= limit).then_some(Cause::TimeLimit { seconds: limit.as_secs_f64() })
    }
}

luthier_core::kinds! {
    /// What a metric that is no finite number leads to.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum OnNan ("\"stop\" or \"ignore\"") {
        /// The training stops.
        "stop" => Stop,
        /// It is a report without an improvement.
        "ignore" => Ignore,
    }
}

const LOWERS: Bound<f64> =
    Bound { expected: "a number above 0 and below 1", holds: |factor| *factor > 0.0 && *factor < 1.0 };
const GROWS: Bound<f64> = Bound { expected: "a number above 1", holds: |factor| *factor > 1.0 };

luthier_core::settings! {
    /// A lower learning rate.
    #[derive(Debug, Clone, PartialEq)]
    pub struct LowerRate {
        /// What the learning rate is multiplied by, whatever its schedule: 0.1 to 0.5 as a rule.
        lower_rate: f64, LOWERS;
        /// How often this is tried.
        times: u64 = 1, bounds::COUNT;
    }
}

luthier_core::settings! {
    /// A larger batch, which has much the same effect as a lower learning rate (Smith et al. 2018).
    #[derive(Debug, Clone, PartialEq)]
    pub struct GrowBatch {
        /// What the batch size is multiplied by: 2 to 5 as a rule.
        grow_batch: f64, GROWS;
        /// The largest batch; the training data, if left out.
        max: Option<usize> = None, bounds::AT_LEAST_ONE;
        /// How often this is tried.
        times: u64 = 1, bounds::COUNT;
    }
}

luthier_core::kinds! {
    /// Something to try before a training stops.
    #[derive(Debug, Clone, PartialEq)]
    pub enum Remedy ("something to try first") by key {
        /// Lower the learning rate.
        "lower_rate" => LowerRate(LowerRate),
        /// Grow the batch.
        "grow_batch" => GrowBatch(GrowBatch),
    }
}

/// What is tried before a training stops, in this order. In a file, one or a list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Remedies(pub Vec<Remedy>);

impl Decode for Remedies {
    const EXPECTED: &'static str =
        "{ lower_rate = 0.1, times = 2 }, { grow_batch = 2.0, times = 3 }, or a list of them";

    fn schema() -> luthier_core::config::Schema {
        luthier_core::config::Schema::words(Self::EXPECTED, vec![Remedy::schema()])
    }

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        match &node.kind {
            Kind::Array(_) => Vec::decode(node, path, problems).map(Self),
            Kind::Table(_) => Remedy::decode(node, path, problems).map(|remedy| Self(vec![remedy])),
            _ => {
                problems.add(node.line, path, Self::EXPECTED, node.describe());
                None
            }
        }
    }
}

/// Why a training stopped early.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// The metric no longer got better, and what was tried first did not help either.
    NoImprovement {
        /// The metric.
        monitor: String,
        /// The best value, less changes that were too small; nothing if there was no number at all.
        best: Option<f64>,
        /// Reports without an improvement, since the last thing that was tried.
        reports: u64,
        /// How often something was tried first.
        remedies: u64,
    },
    /// The metric was above a bound.
    Above {
        /// The metric.
        monitor: String,
        /// Its value.
        value: f64,
        /// The bound.
        bound: f64,
    },
    /// The metric was below a bound.
    Below {
        /// The metric.
        monitor: String,
        /// Its value.
        value: f64,
        /// The bound.
        bound: f64,
    },
    /// The training took too long.
    TimeLimit {
        /// The limit.
        seconds: f64,
    },
    /// The metric was NaN or infinite.
    NotFinite {
        /// The metric.
        monitor: String,
    },
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoImprovement { monitor, best, reports, remedies } => {
                write!(f, "{monitor} was no better")?;
                if let Some(best) = best {
                    write!(f, " than {best}")?;
                }
                write!(f, " for {reports} report{}", if *reports == 1 { "" } else { "s" })?;
                match remedies {
                    0 => Ok(()),
                    1 => write!(f, ", even after one change of the learning rate or batch size"),
                    n => write!(f, ", even after {n} changes of the learning rate or batch size"),
                }
            }
            Self::Above { monitor, value, bound } => write!(f, "{monitor} is {value}, above {bound}"),
            Self::Below { monitor, value, bound } => write!(f, "{monitor} is {value}, below {bound}"),
            Self::TimeLimit { seconds } => write!(f, "its time limit of {seconds} s is over"),
            Self::NotFinite { monitor } => write!(f, "{monitor} is no finite number"),
        }
    }
}

/// What a report leads to.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The training goes on.
    Continue,
    /// It goes on with the learning rate multiplied by this.
    LowerRate(f64),
    /// It goes on with the batch size multiplied by this.
    GrowBatch {
        /// The factor.
        factor: f64,
        /// The largest size.
        max: usize,
    },
    /// It stops.
    Stop(Cause),
}

/// What early stopping is told beside the metrics.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// The name of the objective.
    pub objective: &'a str,
    /// How long the training has run, over all its parts.
    pub elapsed: Duration,
    /// Examples in a step.
    pub batch_size: usize,
    /// Examples to train on.
    pub examples: usize,
}

/// How long the training has not got better. It belongs into a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stopper {
    /// The value that the next improvement is measured against.
    reference: Option<f64>,
    /// Reports since the last improvement or remedy.
    waited: u64,
    /// How often each remedy was tried or found to be of no use.
    tried: Vec<u64>,
    /// Remedies that were tried in all.
    remedies: u64,
}

impl Stopper {
    /// Takes note of a report, and says how to go on. A report without the metric is waited out.
    pub fn observe(
        &mut self,
        config: &EarlyStopping,
        readings: Readings<'_>,
        standing: &Standing<'_>,
    ) -> Verdict {
        let name = config.monitor().unwrap_or(standing.objective);
        let verdict = match readings(name) {
            Some(reading) => self.judge(config, name, reading, standing),
            None => Verdict::Continue,
        };
        match (config.out_of_time(standing.elapsed), verdict) {
            (_, stop @ Verdict::Stop(_)) => stop,
            (Some(cause), _) => Verdict::Stop(cause),
            (None, verdict) => verdict,
        }
    }

    fn judge(
        &mut self,
        config: &EarlyStopping,
        name: &str,
        Reading { value, direction }: Reading,
        standing: &Standing<'_>,
    ) -> Verdict {
        let monitor = || name.to_owned();
        if !value.is_finite() && config.nan == OnNan::Stop {
            return Verdict::Stop(Cause::NotFinite { monitor: monitor() });
        }
        if let Some(bound) = config.stop_above.filter(|bound| value > *bound) {
            return Verdict::Stop(Cause::Above { monitor: monitor(), value, bound });
        }
        if let Some(bound) = config.stop_below.filter(|bound| value < *bound) {
            return Verdict::Stop(Cause::Below { monitor: monitor(), value, bound });
        }
        if self.improves(value, direction, config.min_delta) {
            self.reference = Some(value);
            self.waited = 0;
            return Verdict::Continue;
        }
        self.waited += 1;
        let Some(patience) = config.patience.filter(|patience| self.waited >= *patience) else {
            return Verdict::Continue;
        };
        if let Some(remedy) = self.remedy(&config.first, standing) {
            self.waited = 0;
            self.remedies += 1;
            return remedy;
        }
        Verdict::Stop(Cause::NoImprovement {
            monitor: monitor(),
            best: self.reference,
            reports: patience.max(self.waited),
            remedies: self.remedies,
        })
    }

    fn improves(&self, value: f64, direction: Direction, min_delta: f64) -> bool {
        let better = |reference| direction.loss(value) < direction.loss(reference) - min_delta;
        value.is_finite() && self.reference.is_none_or(better)
    }

    /// The next thing to try, if any is left that can change something.
    fn remedy(&mut self, remedies: &Remedies, standing: &Standing<'_>) -> Option<Verdict> {
        self.tried.resize(remedies.0.len(), 0);
        for (remedy, tried) in remedies.0.iter().zip(&mut self.tried) {
            let (verdict, times) = match remedy {
                Remedy::LowerRate(LowerRate { lower_rate, times }) => {
                    (Verdict::LowerRate(*lower_rate), *times)
                }
                Remedy::GrowBatch(GrowBatch { grow_batch, max, times }) => {
                    let max = max.unwrap_or(standing.examples).min(standing.examples);
                    if standing.batch_size >= max {
                        continue;
                    }
                    (Verdict::GrowBatch { factor: *grow_batch, max }, *times)
                }
            };
            if *tried < times {
                *tried += 1;
                return Some(verdict);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
