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
//! With the samplers `pbt` and `pb2` (`"population": {"size": 10, "interval": 2, "quantile": 0.25, "inherit": ["layers"]}`) a
//! trial may go on from the weights of another one: `{"id": 7, "params": {…}, "from": {"id": 3, "step": 10}, "until": 20}`. Its
//! first report is of step 11. Trials keep what they had at each `until`, since others may begin with it.

mod message;
mod problem;

use luthier_core::{
    Decision, Ending, Event, FailCause, History, Lineage, Metrics, Next, Outcome, Params, Purpose, Recorded,
    Report, SamplerAndPruner, Search, Space, Stop, StopReason, Streams, TrialId, trial_seed,
};
use serde::Serialize;
use thiserror::Error;

use message::{Message, Population, Start, State, Tell};

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
    search: Box<dyn Search>,
    seed: u64,
    /// The steps of a whole trial; nothing if it has a value only.
    steps: Option<u64>,
    /// What a trial was told when it was to stop.
    reasons: Vec<Option<StopReason>>,
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
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
                json(&Ready { ready: true })
            }
            Message::Ask => self.study()?.ask(),
            Message::Report { id, step, value } => json(&self.study()?.report(id, step, value)?),
            Message::Tell(_) => Err("a tell has no reply".to_owned()),
        }
    }
}

/// The population that is asked for, if one is.
fn population(start: &Start) -> Result<Option<luthier_search::Pbt>, String> {
    let name = start.sampler.as_deref().unwrap_or_default();
    let Some(mut pbt) = luthier_search::population(name) else { return Ok(None) };
    if start.problem.max_fidelity.is_none() {
        return Err(format!("the sampler {name:?} needs trials with reports: give problem.max_fidelity"));
    }
    if let Some(pruner) = start.pruner.as_deref().filter(|pruner| *pruner != "none") {
        return Err(format!("the sampler {name:?} takes no pruner, found {pruner:?}: leave it out"));
    }
    if let Some(Population { size, interval, quantile, inherit }) = &start.population {
        pbt.population = size.unwrap_or(pbt.population);
        pbt.interval = *interval;
        pbt.quantile = quantile.unwrap_or(pbt.quantile);
        pbt.inherited.clone_from(inherit);
    }
    if pbt.population < 2 || pbt.interval == Some(0) || !(pbt.quantile > 0.0 && pbt.quantile <= 0.5) {
        return Err("population: expected a size of 2 or more, an interval of 1 or more and a quantile above 0, up to 0.5"
            .to_owned());
    }
    Ok(Some(pbt))
}

impl Asked {
    fn new(start: &Start) -> Result<Self, String> {
        let (space, direction) = problem::read(&start.problem)?;
        let steps = start.problem.max_fidelity;
        let history = History::new(direction).with_steps(steps);
        let reasons = Vec::new();
        if let Some(search) = population(start)? {
            let search = Box::new(search);
            return Ok(Self { history, space, search, seed: start.seed, steps, reasons });
        }
        // Where trials report, stopping early matters more than anything else.
        let pruner = start.pruner.as_deref().unwrap_or(if steps.is_some() { "asha" } else { "none" });
        let sampler = start.sampler.as_deref().unwrap_or("auto");
        let unknown = |what: &str, name: &str, known: Vec<&str>| {
            format!("there is no {what} {name:?}; there is {}", known.join(", "))
        };
        let samplers = luthier_search::sampler_names();
        let pruners = luthier_search::PRUNERS.iter().map(|entry| entry.name).collect();
        let search = SamplerAndPruner::new(
            luthier_search::sampler(sampler).ok_or_else(|| unknown("sampler", sampler, samplers))?,
            luthier_search::pruner(pruner).ok_or_else(|| unknown("pruner", pruner, pruners))?,
        );
        Ok(Self { history, space, search: Box::new(search), seed: start.seed, steps, reasons })
    }

    fn record(&mut self, event: Event) -> Result<(), String> {
        let revision = self.history.revision() + 1;
        self.history.apply(&Recorded { revision, at_ms: 0, event }).map_err(|error| error.to_string())
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

    fn report(&mut self, id: u64, step: u64, value: f64) -> Result<Answer, String> {
        let trial = TrialId(id);
        self.record(Event::Reported { trial, report: Report { step, value, metrics: Metrics::default() } })?;
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

    fn tell(&mut self, tell: &Tell) -> Result<(), String> {
        let trial = TrialId(tell.id);
        let value = tell.value.filter(|value| value.is_finite());
        let outcome = match (tell.state, value) {
            (State::Paused, _) => return self.record(Event::TrialPaused { trial, cause: Stop::Search }),
            (State::Complete, Some(value)) => {
                let best = self.history.trial(trial).and_then(luthier_core::Trial::best_report);
                Outcome::Complete { value, step: best.map(|best| best.step), ending: Ending::Full }
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
}

#[cfg(test)]
mod tests;
