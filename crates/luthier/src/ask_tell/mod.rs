//! The search for any language: a conversation in lines of JSON.
//!
//! One line in, at most one line out. Who asks evaluates; the study lives as long as the conversation.
//!
//! ```
//! let mut session = luthier::AskTell::default();
//! let start = r#"{"start": {"problem": {"direction": "minimize", "max_fidelity": null,
//!     "params": [{"name": "x", "type": "float", "low": -5, "high": 5}]}, "seed": 1}}"#.replace('\n', "");
//! assert_eq!(session.line(&start)?, Some(r#"{"ready":true}"#.to_owned()));
//! let trial = session.line(r#"{"ask": {}}"#)?.expect("an ask is answered");
//! assert!(trial.starts_with(r#"{"id":0,"params":{"x":"#));
//! assert_eq!(session.line(r#"{"tell": {"id": 0, "value": 3.2, "state": "complete"}}"#)?, None);
//! # Ok::<(), luthier::AskTellError>(())
//! ```
//!
//! `sampler` and `pruner` are names, or objects with settings as in a study file: `{"kind": "tpe", "candidates": 48}`.
//!
//! With the samplers `pbt` and `pb2` (`{"kind": "pbt", "size": 10, "interval": 2, "quantile": 0.25, "inherit": ["layers"]}`) a
//! trial may go on from the weights of another one: `{"id": 7, "params": {…}, "from": {"id": 3, "step": 10}, "until": 20}`. Its
//! first report is of step 11. Trials keep what they had at each `until`, since others may begin with it.
//!
//! A trial with `until` reports at that step, and is told as "paused" then; a later ask may name it again.
//!
//! Keys that are not known are ignored. Those of `start` are named in its reply, with a known one that is near:
//! `{"ready": true, "ignored": ["start.sead (did you mean `seed`?)"]}`.

mod begin;
mod keys;
mod message;
mod problem;

use luthier_core::{
    Decision, Ending, Event, FailCause, History, Lineage, Metrics, Next, Outcome, Params, Purpose, Recorded,
    Report, Search, Space, Stop, StopReason, Streams, TrialId, trial_seed,
};
use luthier_search::{Queue, SamplerConfig};
use serde::Serialize;
use thiserror::Error;

use message::{Message, Reported, State, Tell};

/// A line that could not be followed, and to which no reply is due.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct AskTellError(String);

/// A conversation about one problem at a time. See [the module](self).
#[derive(Default)]
pub struct AskTell {
    study: Option<Asked>,
}

/// The study of a conversation.
struct Asked {
    history: History,
    space: Space,
    search: Queue,
    sampler: SamplerConfig,
    seed: u64,
    /// The steps of a whole trial; nothing if it has a value only.
    steps: Option<u64>,
    /// What a trial was told when it was to stop.
    reasons: Vec<Option<StopReason>>,
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ignored: Vec<String>,
}

#[derive(Serialize)]
struct Enqueued {
    enqueued: TrialId,
}

#[derive(Serialize)]
struct Trial<'a> {
    id: TrialId,
    params: &'a Params,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Begins>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
}

/// The trial and the step whose checkpoint a trial begins with.
#[derive(Serialize)]
struct Begins {
    id: TrialId,
    step: u64,
}

#[derive(Serialize)]
struct Answer {
    stop: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Serialize)]
struct Done {
    done: bool,
}

#[derive(Serialize)]
struct Refused {
    error: String,
}

fn json(reply: &impl Serialize) -> Result<String, String> {
    serde_json::to_string(reply).map_err(|error| error.to_string())
}

impl AskTell {
    /// The reply to a line, if one is due. A line that cannot be followed changes nothing: where a reply is due, it
    /// is `{"error": …}`.
    ///
    /// # Errors
    ///
    /// What is wrong with a line to which no reply is due: a `tell`, or text that is no message at all. Blank
    /// lines are nothing.
    pub fn line(&mut self, line: &str) -> Result<Option<String>, AskTellError> {
        if line.trim().is_empty() {
            return Ok(None);
        }
        let refused = |error: String| {
            let reply = json(&Refused { error }).map_err(AskTellError)?;
            Ok(Some(reply))
        };
        match Message::read(line) {
            Ok(Message::Tell(tell)) => match self.study().and_then(|study| study.tell(&tell)) {
                Ok(()) => Ok(None),
                Err(reason) => Err(AskTellError(reason)),
            },
            Ok(message) => self.answer(message).map(Some).or_else(refused),
            Err(message::Unreadable { reason, due: true }) => refused(reason),
            Err(message::Unreadable { reason, due: false }) => Err(AskTellError(reason)),
        }
    }

    fn study(&mut self) -> Result<&mut Asked, String> {
        self.study.as_mut().ok_or_else(|| "nothing has been started: send {\"start\": …} first".to_owned())
    }

    fn answer(&mut self, message: Message) -> Result<String, String> {
        match message {
            Message::Start(start) => {
                self.study = Some(Asked::new(&start)?);
                json(&Ready { ready: true, ignored: start.ignored })
            }
            Message::Ask => self.study()?.ask(),
            Message::Enqueue(given) => json(&self.study()?.enqueue(&given)?),
            Message::Report(report) => json(&self.study()?.report(report)?),
            Message::Tell(_) => Err("a tell has no reply".to_owned()),
        }
    }
}

impl Asked {
    fn record(&mut self, event: Event) -> Result<(), String> {
        let revision = self.history.revision() + 1;
        self.history.apply(&Recorded { revision, at_ms: 0, event }).map_err(|error| error.to_string())
    }

    fn enqueue(&mut self, given: &Params) -> Result<Enqueued, String> {
        self.sampler.for_starts().map_err(|expected| format!("enqueue: expected {expected}"))?;
        let start = self.space.start(given).map_err(|error| error.to_string())?;
        let pushed = self.search.push(self.history.trials().len() as u64, start);
        let trial = pushed.map_err(|error| error.to_string())?;
        Ok(Enqueued { enqueued: TrialId(trial) })
    }

    fn ask(&mut self) -> Result<String, String> {
        let trial = TrialId(self.history.trials().len() as u64);
        let mut rng = Streams::new(self.seed).at(Purpose::Sampler, trial.0);
        let next = self.search.next(&self.history.view(), &self.space, &mut rng);
        let trial = match next.map_err(|error| error.to_string())? {
            Next::New { params, from, until } => {
                let (seed, until) = (trial_seed(self.seed, trial.0), self.until(until));
                let from = from.map(Lineage::from);
                self.record(Event::TrialStarted { trial, params, seed, until, at: None, from })?;
                self.reasons.push(None);
                trial
            }
            Next::Resume { trial, until } => {
                self.record(Event::TrialResumed { trial, until: self.until(until), at: None })?;
                trial
            }
            Next::Wait => {
                return Err("the search waits for a trial: tell how it ended, and ask again".to_owned());
            }
            Next::Done => return json(&Done { done: true }),
        };
        let asked = self.history.trial(trial).ok_or_else(|| format!("there is no trial {trial}"))?;
        // One that goes on has what it began with.
        let from = asked.from.as_ref().map(|from| from.origin).filter(|_| asked.reports.is_empty());
        let from = from.map(|origin| Begins { id: origin.trial, step: origin.step });
        json(&Trial { id: trial, params: &asked.params, from, until: asked.until })
    }

    /// The step to pause at, unless that is the end of a trial anyway.
    fn until(&self, until: Option<u64>) -> Option<u64> {
        let steps = self.steps?;
        until.filter(|until| *until < steps)
    }

    fn report(&mut self, reported: Reported) -> Result<Answer, String> {
        let Reported { id, step, value, values, mut metrics } = reported;
        if let Some(steps) = self.steps.filter(|steps| step > *steps) {
            return Err(format!(
                "report.step: expected a step from 1 to {steps}, the problem's max_fidelity, found {step}"
            ));
        }
        let value = match &values {
            Some(values) => self.first_of(values, &mut metrics)?,
            None if self.history.criteria().objectives.is_empty() => value.unwrap_or(f64::NAN),
            None => return Err(format!("trial {id}: report `values`, one for each objective")),
        };
        let trial = TrialId(id);
        self.record(Event::Reported { trial, report: Report { step, value, metrics } })?;
        let view = self.history.view();
        let Some(running) = view.get_unfinished(trial) else {
            return Ok(Answer { stop: false, reason: None });
        };
        let mut rng = Streams::new(self.seed).of_decision(trial, step);
        Ok(match self.search.decide(&view, &running, &mut rng) {
            Decision::Continue => Answer { stop: false, reason: None },
            Decision::Stop(reason) => {
                let text = reason.to_string();
                if let Some(kept) = self.reasons.get_mut(id as usize) {
                    *kept = Some(reason);
                }
                Answer { stop: true, reason: Some(text) }
            }
        })
    }

    /// Makes sure that a trial has come to where it pauses: others are compared with it there.
    fn may_pause(&self, trial: TrialId) -> Result<(), String> {
        let Some(known) = self.history.trial(trial).filter(|known| known.outcome.is_none()) else {
            return Ok(());
        };
        let last = known.last_report().map_or(0, |last| last.step);
        match known.until {
            Some(until) if last >= until => Ok(()),
            Some(until) => Err(format!(
                "tell.state: trial {trial} pauses at step {until}, and its last report is of step {last}; report first, or \
                 tell \"failed\""
            )),
            None => Err(format!("tell.state: trial {trial} runs to its end, and does not pause")),
        }
    }

    fn tell(&mut self, tell: &Tell) -> Result<(), String> {
        let trial = TrialId(tell.id);
        let (value, metrics) = self.told(tell)?;
        let outcome = match (tell.state, value) {
            (State::Paused, _) => {
                self.may_pause(trial)?;
                return self.record(Event::TrialPaused { trial, cause: Stop::Search });
            }
            (State::Complete, Some(value)) => {
                let known = self.history.trial(trial);
                let step = if metrics.is_empty() {
                    known.and_then(luthier_core::Trial::best_report).map(|best| best.step)
                } else {
                    let step =
                        1 + known.and_then(luthier_core::Trial::last_report).map_or(0, |last| last.step);
                    self.record(Event::Reported { trial, report: Report { step, value, metrics } })?;
                    Some(step)
                };
                Outcome::Complete { value, step, ending: Ending::Full }
            }
            (State::Complete, None) => Outcome::Failed { cause: FailCause::NotFinite },
            (State::Pruned, value) => {
                let reason = self.reasons.get(tell.id as usize).cloned().flatten();
                Outcome::Stopped { reason: reason.unwrap_or(StopReason::Requested), value }
            }
            (State::Failed, _) => {
                Outcome::Failed { cause: FailCause::Error { message: "told as failed".to_owned() } }
            }
        };
        self.record(Event::TrialFinished { trial, outcome, seconds: 0.0 })
    }

    /// The value of the first objective; those of the others are added to `metrics`.
    fn first_of(&self, values: &[f64], metrics: &mut Metrics) -> Result<f64, String> {
        let expected = 1 + self.history.criteria().objectives.len();
        if values.len() != expected {
            return Err(format!(
                "values: expected {expected}, one for each objective, found {}",
                values.len()
            ));
        }
        for (number, value) in values.iter().enumerate().skip(1) {
            metrics.insert(problem::objective(number), *value);
        }
        Ok(values[0])
    }

    /// The value of the first objective, if it and all others are finite, with all that was measured beside it.
    fn told(&self, tell: &Tell) -> Result<(Option<f64>, Metrics), String> {
        let criteria = self.history.criteria();
        let mut metrics = tell.metrics.clone();
        let mut value = tell.value.filter(|value| value.is_finite());
        if let Some(values) = &tell.values {
            let first = self.first_of(values, &mut metrics)?;
            value = Some(first).filter(|_| values.iter().all(|value| value.is_finite()));
        }
        if tell.state == State::Complete && value.is_some() {
            let trial = self.history.trial(TrialId(tell.id));
            let reported = trial.and_then(luthier_core::Trial::best_report).map(|report| &report.metrics);
            let known = if metrics.is_empty() { reported.unwrap_or(&metrics) } else { &metrics };
            let missing = criteria.metrics().into_iter().find(|name| known.get(name).is_none());
            if let Some(name) = missing {
                let several = tell.values.is_none() && !criteria.objectives.is_empty();
                let what = if several {
                    "`values`, one for each objective".to_owned()
                } else {
                    format!("the metric `{name}`")
                };
                return Err(format!(
                    "trial {}: {what} is missing: tell it again, with all that counts",
                    tell.id
                ));
            }
        }
        Ok((value, metrics))
    }
}

#[cfg(test)]
mod tests;
