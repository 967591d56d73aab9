//! From events to trials, and what counts by the logical clock.

use indexmap::IndexMap;

use super::{Ahead, History, HistoryError, SessionRecord, Trial};
use crate::{Attributes, Due, Event, Moment, Recorded, Stop, TrialId};

impl History {
    /// Adds the next event.
    ///
    /// # Errors
    ///
    /// Why it cannot follow those before it. No trial has changed then, but for what the clock has come to.
    pub fn apply(&mut self, recorded: &Recorded) -> Result<(), HistoryError> {
        if recorded.revision != self.revision + 1 {
            return Err(HistoryError::Revision { expected: self.revision + 1, found: recorded.revision });
        }
        match &recorded.event {
            Event::TrialStarted { trial, params, seed, until, at } => {
                let expected = TrialId(self.trials.len() as u64);
                if *trial != expected {
                    return Err(HistoryError::Number { expected, found: *trial });
                }
                self.begin(*trial, *at)?;
                self.trials.push(Trial {
                    id: *trial,
                    params: params.clone(),
                    suggested: IndexMap::new(),
                    seed: *seed,
                    until: *until,
                    reports: Vec::new(),
                    losses: Vec::new(),
                    outcome: None,
                    paused: None,
                    started_us: Some(recorded.at_ms.saturating_mul(1_000)),
                    seconds: None,
                    tested: None,
                    imported: false,
                    attributes: Attributes::default(),
                    direction: self.direction,
                    ahead: Ahead::default(),
                });
            }
            Event::TrialImported { trial, started_us, attributes } => {
                let trial = self.unfinished(*trial)?;
                trial.imported = true;
                trial.started_us = *started_us;
                trial.attributes = attributes.clone();
            }
            Event::StudyImported { attributes, .. } => self.attributes = attributes.clone(),
            Event::ParamSuggested { trial, name, distribution, value } => {
                let trial = self.unfinished(*trial)?;
                trial.params.insert(name.clone(), value.clone());
                trial.suggested.insert(name.clone(), distribution.clone());
            }
            Event::Reported { trial, report } => {
                let is_ordered = self.is_ordered();
                let trial = self.at_work(*trial)?;
                if let Some(last) = trial.last_report().map(|last| last.step)
                    && report.step <= last
                {
                    return Err(HistoryError::Step { trial: trial.id, last, found: report.step });
                }
                // Whatever set it aside, it goes on.
                trial.paused = None;
                trial.ahead.reports.push_back(report.clone());
                if !is_ordered {
                    trial.count_report();
                }
            }
            Event::TrialPaused { trial, cause } => self.unfinished(*trial)?.paused = Some(*cause),
            Event::TrialResumed { trial, until, at } => {
                self.unfinished(*trial)?;
                self.begin(*trial, *at)?;
                let trial = self.unfinished(*trial)?;
                trial.paused = None;
                trial.until = *until;
            }
            Event::TrialStopped { trial, outcome, at, seconds } => {
                self.unfinished(*trial)?;
                self.pass(*at, false);
                if self.due() == Due::Report(*at, *trial) {
                    self.count(*at, *trial);
                } else if self.last_moment() != Some(*at) {
                    return Err(HistoryError::Moment { trial: *trial, at: *at });
                }
                if let Some(clock) = &mut self.clock {
                    clock.leave(*at);
                }
                let trial = self.unfinished(*trial)?;
                trial.seconds = Some(trial.ahead.end.as_ref().map_or(*seconds, |(_, seconds)| *seconds));
                (trial.outcome, trial.paused, trial.ahead) = (Some(outcome.clone()), None, Ahead::default());
            }
            Event::TrialFinished { trial, outcome, seconds } => {
                let is_ordered = self.is_ordered();
                let trial = self.at_work(*trial)?;
                trial.paused = None;
                trial.ahead.end = Some((outcome.clone(), *seconds));
                if !is_ordered {
                    trial.count_end();
                }
            }
            Event::Tested { trial, metrics } => self.trial_mut(*trial)?.tested = Some(metrics.clone()),
            Event::SessionStarted { program, file, data, at, .. } => {
                if let Some(at) = at {
                    self.pass(*at, true);
                    if let Some(clock) = &mut self.clock {
                        clock.wake(*at);
                    }
                }
                let (program, file, data) = (program.clone(), file.clone(), data.clone());
                self.session = Some(SessionRecord { program, file, data });
            }
            Event::SessionEnded { at, .. } => {
                if let Some(at) = at {
                    self.pass(*at, true);
                }
            }
        }
        self.revision = recorded.revision;
        Ok(())
    }

    /// Gives a trial the slot that asked at this moment.
    fn begin(&mut self, trial: TrialId, at: Option<Moment>) -> Result<(), HistoryError> {
        let at = match at {
            _ if !self.is_ordered() => return Ok(()),
            Some(at) => at,
            None => return Err(HistoryError::NoMoment(trial)),
        };
        self.pass(at, true);
        if self.due() != Due::Next(at) {
            return Err(HistoryError::Moment { trial, at });
        }
        if let Some(clock) = &mut self.clock {
            clock.begin(at, trial);
        }
        Ok(())
    }

    /// Lets all count that comes before a moment; what trials say at the moment itself as well where `including`
    /// says so.
    fn pass(&mut self, end: Moment, including: bool) {
        while self.count_until(end, including).is_some() {}
    }

    /// The same up to the next report: gives the trial whose report that was, or nothing when all has been counted.
    pub fn count_until(&mut self, end: Moment, including: bool) -> Option<TrialId> {
        loop {
            match self.due() {
                Due::Next(at) if at < end => self.wait(at),
                Due::Report(at, trial) if at < end || including && at == end => {
                    self.count(at, trial);
                    return Some(trial);
                }
                Due::End(at, trial) if at < end || including && at == end => self.count(at, trial),
                _ => return None,
            }
        }
    }

    /// The search had nothing for the slot that asks at this moment.
    pub fn wait(&mut self, at: Moment) {
        if let Some(clock) = &mut self.clock {
            clock.wait(at);
        }
    }

    /// Lets the report or the end of a trial count that is due.
    pub fn count(&mut self, at: Moment, trial: TrialId) {
        let (Some(clock), Some(trial)) = (&mut self.clock, self.trials.get_mut(trial.0 as usize)) else {
            return;
        };
        if trial.ahead.reports.is_empty() {
            trial.count_end();
            clock.leave(at);
            return;
        }
        trial.count_report();
        let step = trial.reports.last().map_or(0, |report| report.step);
        if trial.until.is_some_and(|until| step >= until) {
            trial.paused = Some(Stop::Search);
            clock.leave(at);
        } else {
            clock.report(at, trial.id);
        }
    }

    fn trial_mut(&mut self, id: TrialId) -> Result<&mut Trial, HistoryError> {
        self.trials.get_mut(id.0 as usize).ok_or(HistoryError::NoSuchTrial(id))
    }

    /// A trial that has not ended, nor said that it has.
    fn at_work(&mut self, id: TrialId) -> Result<&mut Trial, HistoryError> {
        let trial = self.trial_mut(id)?;
        if trial.end().is_some() { Err(HistoryError::Ended(id)) } else { Ok(trial) }
    }

    fn unfinished(&mut self, id: TrialId) -> Result<&mut Trial, HistoryError> {
        let trial = self.trial_mut(id)?;
        if trial.outcome.is_some() { Err(HistoryError::Ended(id)) } else { Ok(trial) }
    }
}

impl Trial {
    fn count_report(&mut self) {
        if let Some(report) = self.ahead.reports.pop_front() {
            self.losses.push((report.step, self.direction.loss(report.value)));
            self.reports.push(report);
        }
    }

    fn count_end(&mut self) {
        if let Some((outcome, seconds)) = self.ahead.end.take() {
            (self.outcome, self.seconds) = (Some(outcome), Some(seconds));
        }
    }
}
