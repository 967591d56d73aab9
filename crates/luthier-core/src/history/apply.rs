//! From events to trials, and what counts by the logical clock.

use indexmap::IndexMap;

use super::{Ahead, History, HistoryError, SessionRecord, Spent, Trial};
use crate::{Due, Event, Lineage, Moment, Recorded, SessionId, Stop, TrialId};

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
            Event::TrialStarted { trial, params, seed, until, at, from } => {
                let expected = TrialId(self.trials.len() as u64);
                if *trial != expected {
                    return Err(HistoryError::Number { expected, found: *trial });
                }
                if let Some(Lineage { origin, request }) = from {
                    let parent = self.trial_mut(origin.trial)?;
                    if parent.last_report().is_none_or(|last| last.step < origin.step) {
                        return Err(HistoryError::Origin { trial: *trial, origin: *origin });
                    }
                    self.requested += usize::from(request.is_some());
                }
                if from.as_ref().is_none_or(|from| from.request.is_none()) {
                    self.begin(*trial, *at)?;
                }
                self.trials.push(Trial {
                    id: *trial,
                    params: params.clone(),
                    suggested: IndexMap::new(),
                    believed: None,
                    expected: None,
                    seed: *seed,
                    until: *until,
                    from: from.clone(),
                    reports: Vec::new(),
                    losses: Vec::new(),
                    outcome: None,
                    paused: None,
                    holder: None,
                    taken: 0,
                    lost: 0,
                    laid_down: 0,
                    started_us: Some(recorded.at_ms.saturating_mul(1_000)),
                    seconds: None,
                    tested: None,
                    imported: None,
                    further: Vec::new(),
                    violations: Vec::new(),
                    direction: self.direction,
                    ahead: Ahead::default(),
                    spent: Spent::default(),
                });
                self.open.insert(*trial);
            }
            Event::TrialTaken { trial, session } => {
                let trial = self.at_work(*trial)?;
                trial.lost += u64::from(trial.holder.is_some());
                trial.holder = Some(*session);
                trial.taken += 1;
                if trial.paused != Some(Stop::Search) {
                    trial.paused = None;
                }
                if let Some(taken) = self.sessions.get_mut(session) {
                    *taken += 1;
                }
            }
            Event::TrialImported { trial, started_us, attributes } => {
                let trial = self.unfinished(*trial)?;
                trial.imported = Some(Box::new(attributes.clone()));
                trial.started_us = *started_us;
            }
            Event::StudyImported { attributes, .. } => self.attributes = attributes.clone(),
            Event::ParamsProposed { trial, params } => {
                self.unfinished(*trial)?.expected =
                    Some(params).filter(|params| !params.is_empty()).cloned().map(Box::new);
            }
            Event::ParamSuggested { trial, name, distribution, value, prior } => {
                let trial = self.unfinished(*trial)?;
                trial.params.insert(name.clone(), value.clone());
                trial.suggested.insert(name.clone(), distribution.clone());
                if let Some(prior) = prior {
                    trial.believed.get_or_insert_default().insert(name.clone(), prior.clone());
                }
                if let Some(expected) = &mut trial.expected {
                    expected.insert(name.clone(), value.clone());
                }
            }
            Event::Reported { trial, report } => {
                let is_ordered = self.follows_clock(*trial);
                let trial = self.at_work(*trial)?;
                if let Some(last) = trial.last_report().map(|last| last.step)
                    && report.step <= last
                {
                    return Err(HistoryError::Step { trial: trial.id, last, found: report.step });
                }
                trial.go_on(is_ordered);
                trial.lost = 0;
                trial.ahead.reports.push_back(report.clone());
                if !is_ordered {
                    trial.count_report();
                }
            }
            Event::TrialPaused { trial, cause } => {
                let is_ordered = self.follows_clock(*trial);
                let trial = self.unfinished(*trial)?;
                trial.holder = None;
                trial.laid_down = trial.last_report().map_or(0, |last| last.step);
                // With a clock it is known by the reports where the search pauses a trial, and when that counts.
                if !is_ordered || *cause != Stop::Search && trial.paused.is_none() {
                    trial.paused = Some(*cause);
                }
            }
            Event::TrialResumed { trial, until, at } => {
                self.unfinished(*trial)?;
                self.begin(*trial, *at)?;
                let trial = self.unfinished(*trial)?;
                trial.paused = None;
                trial.until = *until;
            }
            Event::TrialStopped { trial, outcome, at } => {
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
                trial.seconds = trial.ahead.end.as_ref().map(|(_, seconds)| trial.spent.and(*seconds));
                (trial.outcome, trial.paused, trial.ahead) = (Some(outcome.clone()), None, Ahead::default());
                let id = trial.id;
                self.conclude(id);
            }
            Event::TrialFinished { trial, outcome, seconds } => {
                let is_ordered = self.follows_clock(*trial);
                let trial = self.at_work(*trial)?;
                trial.go_on(is_ordered);
                trial.ahead.end = Some((outcome.clone(), *seconds));
                let id = trial.id;
                if !is_ordered {
                    self.count_end(id);
                }
            }
            Event::Tested { trial, metrics } => self.trial_mut(*trial)?.tested = Some(metrics.clone()),
            Event::SessionStarted { program, worker, file, data, class, trials, at } => {
                if let Some(at) = at {
                    self.pass(*at, true);
                    // Slots that had nothing to begin may have now.
                    if let Some(clock) = self.clock.as_mut().filter(|_| self.limit != *trials) {
                        clock.wake(*at);
                    }
                }
                (self.limit, self.failures) = (*trials, 0);
                let most = self.sessions.values().copied().max().unwrap_or(0);
                self.sessions.insert(SessionId(recorded.revision), most);
                self.session = Some(SessionRecord {
                    program: program.clone(),
                    worker: worker.clone(),
                    file: file.clone(),
                    data: data.clone(),
                    class: class.clone(),
                });
                self.classes.extend(class.clone());
            }
            Event::SessionEnded { at, session, .. } => {
                self.sessions.remove(session);
                if let Some(at) = at {
                    self.pass(*at, true);
                }
            }
        }
        self.revision = recorded.revision;
        self.time(recorded);
        Ok(())
    }

    /// Whether what a trial says counts only when its time has come. What a person asked for has no slot.
    fn follows_clock(&self, trial: TrialId) -> bool {
        self.is_ordered() && !self.trial(trial).is_some_and(Trial::is_requested)
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
            clock.leave(at);
            let id = trial.id;
            self.count_end(id);
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

    /// The end that a trial has said counts.
    fn count_end(&mut self, id: TrialId) {
        let Some(trial) = self.trials.get_mut(id.0 as usize) else { return };
        if let Some((outcome, seconds)) = trial.ahead.end.take() {
            (trial.outcome, trial.seconds) = (Some(outcome), Some(trial.spent.and(seconds)));
            self.conclude(id);
        }
    }

    /// What was applied before its storage had given it a time, and so with 0, has one now.
    pub fn stamp(&mut self, recorded: &Recorded) {
        if let Event::TrialStarted { trial, .. } = recorded.event
            && let Some(trial) = self.trials.get_mut(trial.0 as usize)
        {
            trial.started_us = Some(recorded.at_ms.saturating_mul(1_000));
        }
        self.time(recorded);
    }

    /// Follows how long a trial is in hand.
    fn time(&mut self, recorded: &Recorded) {
        let now = recorded.at_ms;
        let trial = recorded.event.trial().and_then(|trial| self.trials.get_mut(trial.0 as usize));
        let Some(trial) = trial.filter(|_| now > 0) else { return };
        match &recorded.event {
            Event::TrialTaken { .. } => trial.spent.since_ms = Some(now),
            Event::TrialPaused { .. } | Event::TrialStopped { .. } => {
                let since = trial.spent.since_ms.take();
                trial.spent.ms += since.map_or(0, |since| (now - since).max(0));
                if trial.outcome.is_some() && trial.seconds.is_none() {
                    trial.seconds = Some(trial.spent.and(0.0));
                }
            }
            Event::TrialFinished { .. } => trial.spent.since_ms = None,
            _ => {}
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

impl Spent {
    /// Seconds up to where it was last laid down, and so many since.
    fn and(self, seconds: f64) -> f64 {
        self.ms as f64 / 1e3 + seconds
    }
}

impl Trial {
    /// Whatever set it aside, it goes on. With a clock it may run ahead of where the search has paused it.
    fn go_on(&mut self, is_ordered: bool) {
        if !is_ordered || self.paused != Some(Stop::Search) {
            self.paused = None;
        }
    }

    fn count_report(&mut self) {
        if let Some(report) = self.ahead.reports.pop_front() {
            self.losses.push((report.step, self.direction.loss(report.value)));
            self.reports.push(report);
        }
    }
}
