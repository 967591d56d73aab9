//! What a study came to: its winner measured on the test examples, and what is said at the end.

use std::path::Path;
use std::time::Duration;

use luthier::search::pareto::chosen;
use luthier::{Loaded, StudyFile};
use luthier_core::{Event, History, Metrics, Outcome, Params, Stop, Trial, TrialId};
use luthier_runner::{Ledger, model_name};
use serde::Serialize;

use super::output::{metrics, number, params, print, print_json, seconds, tell};
use super::{Failure, StorageArgs};

#[derive(Serialize)]
struct Tuned {
    study: String,
    stopped: Stop,
    seconds: f64,
    trials: Counts,
    /// The classes of machines that worked on it, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mixed: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    best: Option<Winner>,
}

#[derive(Serialize, Default)]
struct Counts {
    complete: usize,
    stopped: usize,
    failed: usize,
    infeasible: usize,
    unfinished: usize,
}

#[derive(Serialize)]
struct Winner {
    trial: TrialId,
    objective: String,
    value: f64,
    epoch: Option<u64>,
    /// The values of further objectives.
    #[serde(skip_serializing_if = "Metrics::is_empty")]
    further: Metrics,
    /// Trials on the Pareto front, where there are several objectives.
    #[serde(skip_serializing_if = "Option::is_none")]
    front: Option<usize>,
    params: Params,
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<Metrics>,
}

/// Work on a study that has ended.
pub(super) struct Worked<'a> {
    pub(super) file: &'a StudyFile,
    pub(super) loaded: &'a Loaded,
    pub(super) stopped: Stop,
    pub(super) time: Duration,
    pub(super) storage: &'a StorageArgs,
    pub(super) json: bool,
    /// The command that goes on, if it was interrupted.
    pub(super) again: String,
}

impl Worked<'_> {
    /// Measures the winner on the test examples, unless that was done before, prints what there is to say, and fails
    /// where there is no winner.
    pub(super) fn conclude(self, ledger: &mut Ledger, threads: usize) -> Result<(), Failure> {
        if self.stopped != Stop::Interrupted {
            test_winner(ledger, self.loaded, threads)?;
        }
        let tuned = self.summary(ledger.history());
        if self.json {
            print_json(&tuned)?;
        } else {
            print(&self.text(ledger.history(), &tuned))?;
        }
        match self.stopped {
            Stop::Interrupted => {
                tell(&format!("interrupted; the study is intact, go on with: {}", self.again));
                Err(Failure::Interrupted)
            }
            Stop::Failing => Err(Failure::failed(
                "too many trials failed in a row; the last cause is above, `luthier trials` lists them all",
            )),
            Stop::Timeout if tuned.best.is_none() => Err(Failure::failed(
                "the time was up before any trial came to a value; what is done is kept: the same command goes on, \
                 with more time by --timeout",
            )),
            _ if tuned.best.is_none() => Err(Failure::failed(nothing(ledger.history()))),
            _ => Ok(()),
        }
    }

    fn summary(&self, history: &History) -> Tuned {
        let mut counts = Counts::default();
        for trial in history.trials() {
            match trial.state() {
                "complete" => counts.complete += 1,
                "stopped" => counts.stopped += 1,
                "failed" => counts.failed += 1,
                "infeasible" => counts.infeasible += 1,
                _ => counts.unfinished += 1,
            }
        }
        let best = chosen(history).and_then(|best| {
            let Outcome::Complete { value, step, .. } = best.outcome.as_ref()? else { return None };
            Some(Winner {
                trial: best.id,
                objective: self.loaded.objective(),
                value: *value,
                epoch: *step,
                further: further(history, best),
                front: (!history.criteria().objectives.is_empty()).then(|| history.winners().len()),
                params: best.params.clone(),
                test: best.tested.clone(),
            })
        });
        Tuned {
            study: self.file.study.name.clone(),
            stopped: self.stopped,
            seconds: self.time.as_secs_f64(),
            trials: counts,
            mixed: mixed(history),
            best,
        }
    }

    fn text(&self, history: &History, tuned: &Tuned) -> String {
        let Counts { complete, stopped, failed, infeasible, unfinished } = &tuned.trials;
        let counts: Vec<String> = [
            (complete, "complete"),
            (stopped, "stopped"),
            (failed, "failed"),
            (infeasible, "infeasible"),
            (unfinished, "unfinished"),
        ]
        .into_iter()
        .filter(|(count, _)| **count > 0)
        .map(|(count, state)| format!("{count} {state}"))
        .collect();
        let mut text = format!(
            "study `{}`: {} trial{} ({}) in {}; {}\n",
            tuned.study,
            history.trials().len(),
            if history.trials().len() == 1 { "" } else { "s" },
            counts.join(", "),
            seconds(tuned.seconds),
            tuned.stopped
        );
        if !tuned.mixed.is_empty() {
            text += &format!(
                "computed on machines of several classes ({}): the last bits may differ on one\n",
                tuned.mixed.join(", ")
            );
        }
        let Some(best) = &tuned.best else { return text + nothing(history) + "\n" };
        let what = match best.front {
            None | Some(1) => "winner".to_owned(),
            Some(front) => format!("{front} trials are on the Pareto front; its knee"),
        };
        text += &format!(
            "\n{what}: trial {}, {} {}{} at {} {}\n{}",
            best.trial,
            best.objective,
            number(best.value),
            named(&best.further),
            self.file.unit(),
            best.epoch.unwrap_or(0),
            params(&best.params)
        );
        if let Some(test) = &best.test {
            text += &format!("\ntest, sealed until now: {}\n", metrics(test));
        }
        let path: &Path = &self.file.path;
        if best.front.is_some() {
            let place = format!("{}{}", path.display(), self.storage.as_option());
            text += &format!("\nthe front: luthier best {place}; any trial of it with --trial\n");
        }
        text += &format!(
            "\nget its file{} with:\n  luthier best {}{} -o best.toml{}\n",
            if self.file.is_command() { "" } else { " and its model" },
            path.display(),
            self.storage.as_option(),
            if self.file.is_command() { "" } else { " --model model.safetensors" }
        );
        text
    }
}

/// Why there is no winner.
fn nothing(history: &History) -> &'static str {
    let complete =
        history.trials().iter().any(|trial| trial.outcome.as_ref().is_some_and(|end| end.value().is_some()));
    if complete && !history.criteria().constraints.is_empty() {
        "no trial keeps the constraints; `luthier trials` says which each one misses"
    } else {
        "no trial came to a value"
    }
}

/// The values of further objectives of a trial, by name.
pub(super) fn further(history: &History, trial: &Trial) -> Metrics {
    let values = history.values(trial).unwrap_or_default();
    let goals = history.criteria().objectives.iter().zip(values.into_iter().skip(1));
    goals.map(|(goal, value)| (goal.name.clone(), value)).collect()
}

/// The same as words that follow the first objective.
pub(super) fn named(further: &Metrics) -> String {
    further.iter().map(|(name, value)| format!(", {name} {}", number(value))).collect()
}

/// The classes of machines that have worked on a study, where there are several.
pub(super) fn mixed(history: &History) -> Vec<String> {
    let classes = history.classes();
    if classes.len() > 1 { classes.iter().cloned().collect() } else { Vec::new() }
}

/// Evaluates the winner on the test examples, unless that was done before.
fn test_winner(ledger: &mut Ledger, loaded: &Loaded, threads: usize) -> Result<(), Failure> {
    let Some(best) = chosen(ledger.history()) else { return Ok(()) };
    if best.tested.is_some() {
        return Ok(());
    }
    let trial = best.id;
    if best.imported.is_some() {
        tell(&format!("note: trial {trial}, the best one, was imported: there is no model of it to test"));
        return Ok(());
    }
    if let Loaded::Command(_) = loaded {
        return Ok(());
    }
    let Some(model) = ledger.storage().artifact(ledger.study().id, &model_name(trial))? else {
        return Err(Failure::failed(format!("the model of trial {trial} is not in the storage any more")));
    };
    if let Some(metrics) = loaded.test(&model, threads).map_err(Failure::failed)? {
        ledger.turn(|ledger| ledger.add(Event::Tested { trial, metrics: metrics.clone() }))?;
    }
    Ok(())
}
