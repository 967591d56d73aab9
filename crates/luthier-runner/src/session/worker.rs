//! The workers of a session: which trial is next, and what follows from its evaluation.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use luthier_core::{
    Direction, Evaluation, Event, FailCause, History, Moment, Next, Outcome, Purpose, SearchError, Stop,
    Storage, Streams, StudyId, Trial, TrialId,
};

use super::aftermath::begun;
use super::origins::waits_for;
use super::waiting::FEW;
use super::{FAILURES_IN_A_ROW, RunError, Shared};
use crate::handle::Handle;
use crate::{Ledger, model_name};

/// How often trials are looked for whose session is no more.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Sessions that may end in the midst of a trial, one after the other and without a report in between, before it is
/// given up: most likely they end because of it.
const MOST_LOST: u64 = 5;

/// What a worker does next.
pub(super) enum Job {
    Run(TrialId),
    Wait,
    /// There is a trial, but others have waited for it longer.
    StepBack,
    End,
}

/// What came of a trial.
struct Done {
    trial: TrialId,
    evaluation: Evaluation,
    seconds: f64,
}

impl Shared<'_> {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Ledger> {
        // An objective's panic is caught outside the lock, so the ledger is never left half changed.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn place(&self) -> (&dyn Storage, StudyId) {
        (&*self.place.0, self.place.1)
    }

    /// Whether the work is to stop, and why.
    pub(crate) fn stop(&self) -> Option<Stop> {
        let ended = *self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.or_else(|| {
            if self.interrupt.is_set() {
                Some(Stop::Interrupted)
            } else if self
                .limits
                .deadline
                .is_some_and(|deadline| Instant::now() + self.objective.wrap_up() >= deadline)
            {
                Some(Stop::Timeout)
            } else {
                None
            }
        })
    }

    pub(super) fn end(&self, cause: Stop) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.get_or_insert(cause);
        self.changed.notify_all();
    }

    /// One worker: a trial after another.
    pub(super) fn work(&self) -> Result<(), RunError> {
        let result = self.work_until_end();
        if result.is_err() {
            // The others set their trials aside; the error is told once they have.
            self.end(Stop::Interrupted);
        }
        self.changed.notify_all();
        result
    }

    fn work_until_end(&self) -> Result<(), RunError> {
        let (mut done, mut polite) = (None, true);
        loop {
            let mut ledger = self.lock();
            // What came of the last trial and what is next are stored as one.
            let job = self.turn(&mut ledger, |ledger| {
                if let Some(done) = &done {
                    self.settle(ledger, done)?;
                    self.let_go(done.trial);
                }
                if ledger.history().is_ordered() {
                    self.next_ordered(ledger, polite)
                } else {
                    self.next(ledger)
                }
            })?;
            if let Some(Done { trial, .. }) = done.take() {
                self.clear_up(&ledger, trial)?;
            }
            match job {
                Job::End => return Ok(()),
                Job::Wait => self.wait_for_news(ledger)?,
                Job::StepBack => {
                    self.step_back(ledger)?;
                    polite = false;
                }
                Job::Run(id) => {
                    let Some(trial) = ledger.history().trial(id).cloned() else { continue };
                    if trial.taken > 1 {
                        self.take_over(id);
                    }
                    self.in_hand().push(id);
                    self.observer.event(&begun(&trial));
                    drop(ledger);
                    polite = true;
                    done = Some(self.run(&trial)?);
                }
            }
        }
    }

    fn in_hand(&self) -> MutexGuard<'_, Vec<TrialId>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn let_go(&self, id: TrialId) {
        let mut in_hand = self.in_hand();
        // Once: another worker may have it in hand by now.
        if let Some(place) = in_hand.iter().position(|other| *other == id) {
            in_hand.swap_remove(place);
        }
    }

    /// Of these trials, the first that nobody is at work on: in nobody's hands, or in those of a session that is no
    /// more.
    pub(super) fn free<'h>(
        &self,
        ledger: &Ledger,
        mut trials: impl Iterator<Item = &'h Trial>,
    ) -> Result<Option<TrialId>, RunError> {
        let in_hand = self.in_hand().clone();
        let mine = |trial: &Trial| in_hand.contains(&trial.id);
        let mut held = Vec::new();
        let nobodys = trials.find(|trial| {
            let waited_for = waits_for(ledger.history(), trial);
            let hands = waited_for.unwrap_or(*trial);
            let free = hands.holder.is_none() && !mine(hands);
            if !free && !mine(hands) {
                held.push((*trial, hands));
            }
            free
        });
        if let Some(trial) = nobodys {
            return Ok(Some(trial.id));
        }
        let mut aftermath = self.aftermath();
        if held.is_empty() || aftermath.look_at.is_some_and(|time| Instant::now() < time) {
            return Ok(None);
        }
        let living = self.place.0.living(self.place.1)?;
        // Of many, each looks less often, so that all together do not look at each other most of the time.
        let many = living.len().div_ceil(FEW) as u32;
        aftermath.look_at = Some(Instant::now() + LOOK_EVERY * many.max(1));
        let gone = |(_, hands): &&(&Trial, &Trial)| {
            hands.holder.is_some_and(|holder| Some(holder) == ledger.session() || !living.contains(&holder))
        };
        Ok(held.iter().find(gone).map(|(trial, _)| trial.id))
    }

    /// What a worker does next in free order.
    fn next(&self, ledger: &mut Ledger) -> Result<Job, RunError> {
        self.end_if_reached(ledger.history());
        if let Some(job) = self.next_only(ledger)? {
            return Ok(job);
        }
        if self.stop().is_some() {
            return Ok(Job::End);
        }
        let history = ledger.history();
        let paused = |trial: &&Trial| trial.paused == Some(Stop::Search);
        // A trial that a crash, the time or the user broke off goes on before anything new.
        if let Some(id) = self.free(ledger, history.open().filter(|trial| !paused(trial)))? {
            return take(ledger, id);
        }
        let busy = history.open().any(|trial| !paused(&trial));
        let waiting = history.open().any(|trial| paused(&trial));
        let due = history.trials().len() as u64;
        let full = history.limit().is_some_and(|trials| history.configurations() >= trials);
        if full && !waiting {
            return Ok(if busy { Job::Wait } else { self.finished(Stop::Finished) });
        }
        let seed = ledger.study().definition.seed;
        let mut rng = Streams::new(seed).at(Purpose::Sampler, due);
        let id = match self.search.next(&history.view().closing(full), self.space, &mut rng)? {
            Next::New { .. } if full => {
                return Ok(if busy { Job::Wait } else { self.finished(Stop::Finished) });
            }
            Next::New { params, from, until } => Self::begin(ledger, params, from, until, None)?,
            Next::Resume { trial, until } => {
                resume(ledger, trial, until, None)?;
                trial
            }
            Next::Wait if !busy => return Err(nothing_runs()),
            Next::Done if !busy => {
                return Ok(self.finished(if full { Stop::Finished } else { Stop::Exhausted }));
            }
            Next::Wait | Next::Done => return Ok(Job::Wait),
        };
        take(ledger, id)
    }

    pub(super) fn finished(&self, cause: Stop) -> Job {
        self.end(cause);
        Job::End
    }

    /// Ends the work where the target is reached, or too many trials have failed.
    pub(super) fn end_if_reached(&self, history: &History) {
        let reached = |value: f64| {
            self.limits.target.is_some_and(|target| {
                let direction = history.direction();
                direction.loss(value) <= direction.loss(target)
            })
        };
        if history.best().and_then(|best| best.outcome.as_ref()?.value()).is_some_and(reached) {
            self.end(Stop::Target);
        } else if history.failures() >= FAILURES_IN_A_ROW {
            self.end(Stop::Failing);
        }
    }

    /// Runs a trial until it ends or is set aside.
    fn run(&self, trial: &Trial) -> Result<Done, RunError> {
        let started = Instant::now();
        let id = trial.id;
        let inherited = match self.inherited(trial)? {
            Ok(inherited) => inherited,
            Err(evaluation) => {
                return Ok(Done { trial: id, evaluation, seconds: started.elapsed().as_secs_f64() });
            }
        };
        let mut handle = Handle {
            shared: self,
            id,
            params: trial.params.clone(),
            seed: trial.seed,
            until: trial.until,
            from: trial.from.clone(),
            inherited,
            step: 0,
            saved: started,
            flushed: started,
            told: 0,
            lost: false,
        };
        // The handle and the objective are not used again after a panic, or are unharmed by it: what
        // they share is behind locks.
        let evaluated = catch_unwind(AssertUnwindSafe(|| self.objective.evaluate(&mut handle)));
        let evaluation = match evaluated {
            Ok(Ok(evaluation)) => evaluation,
            Ok(Err(error)) => {
                let cause = Stop::Interrupted;
                self.turn(&mut self.lock(), |ledger| {
                    Ok(ledger.tell(Event::TrialPaused { trial: id, cause })?)
                })?;
                return Err(error.into());
            }
            Err(panic) => Evaluation::Failed(FailCause::Panicked { message: panic_message(&*panic) }),
        };
        // The model first: a trial that is known to be complete has one if it is the best.
        if let Evaluation::Complete { value, model: Some(model), .. } = &evaluation
            && value.is_finite()
        {
            let wins = {
                let ledger = self.lock();
                let history = ledger.history();
                // Of further criteria only the ledger knows, once its reports are stored.
                !history.criteria().is_empty() || wins(history.best(), *value, history.direction())
            };
            if wins {
                self.keep(model_name(id), model)?;
            }
        }
        Ok(Done { trial: id, evaluation, seconds: started.elapsed().as_secs_f64() })
    }

    /// Adds what came of a trial to the history.
    fn settle(&self, ledger: &mut Ledger, done: &Done) -> Result<(), RunError> {
        let id = done.trial;
        let outcome = match &done.evaluation {
            Evaluation::Paused => {
                let runnable = ledger.history().trial(id).is_some_and(Trial::is_runnable);
                let cause = if runnable { self.stop().unwrap_or(Stop::Interrupted) } else { Stop::Search };
                if ledger.tell(Event::TrialPaused { trial: id, cause })? {
                    self.observer.event(&Event::TrialPaused { trial: id, cause });
                }
                return Ok(());
            }
            Evaluation::Complete { value, .. } if !value.is_finite() => {
                Outcome::Failed { cause: FailCause::NotFinite }
            }
            Evaluation::Complete { value, step, ending, .. } => match missing(ledger.history(), id, *step) {
                Some(message) => Outcome::Failed { cause: FailCause::Error { message } },
                None => Outcome::Complete { value: *value, step: *step, ending: ending.clone() },
            },
            Evaluation::Stopped(reason) => {
                let trial = ledger.history().trial(id);
                let value = trial.and_then(Trial::best_report).map(|report| report.value);
                Outcome::Stopped { reason: reason.clone(), value }
            }
            Evaluation::Infeasible(reason) => Outcome::Infeasible { reason: reason.clone() },
            Evaluation::Failed(cause) => Outcome::Failed { cause: cause.clone() },
        };
        ledger.tell(Event::TrialFinished { trial: id, outcome, seconds: done.seconds })?;
        Ok(())
    }
}

/// Takes a trial in hand.
pub(super) fn take(ledger: &mut Ledger, id: TrialId) -> Result<Job, RunError> {
    ledger.take(id)?;
    let times = ledger.history().trial(id).map_or(0, |trial| trial.lost);
    if times < MOST_LOST {
        return Ok(Job::Run(id));
    }
    let outcome = Outcome::Failed { cause: FailCause::Lost { times } };
    ledger.tell(Event::TrialFinished { trial: id, outcome, seconds: 0.0 })?;
    Ok(Job::Wait)
}

/// Lets a trial go on that the search has paused.
pub(super) fn resume(
    ledger: &mut Ledger,
    trial: TrialId,
    until: Option<u64>,
    at: Option<Moment>,
) -> Result<(), RunError> {
    let paused = |trial: &Trial| trial.outcome.is_none() && trial.paused == Some(Stop::Search);
    if !ledger.history().trial(trial).is_some_and(paused) {
        let message = format!("it asked to resume trial {trial}, which is not paused");
        return Err(SearchError { message }.into());
    }
    Ok(ledger.add(Event::TrialResumed { trial, until, at })?)
}

fn nothing_runs() -> RunError {
    SearchError { message: "it waits for a trial, and none is running".to_owned() }.into()
}

/// What is wrong where a trial has not measured a further objective, or what a constraint is on, at the step that counts.
fn missing(history: &History, id: TrialId, step: Option<u64>) -> Option<String> {
    let report = history.trial(id).and_then(|trial| trial.report_at(step));
    let names = history.criteria().metrics();
    let name = names
        .into_iter()
        .find(|name| !report.and_then(|report| report.metrics.get(name)).is_some_and(f64::is_finite))?;
    let place =
        step.map_or(String::new(), |step| format!(" at step {step}, the best by the first objective"));
    Some(format!(
        "no finite value of `{name}` was reported{place}; the study's objectives or constraints need it"
    ))
}

/// Whether `value` would be the best; of equal values the first trial is.
pub(crate) fn wins(best: Option<&Trial>, value: f64, direction: Direction) -> bool {
    let best = best.and_then(|best| best.outcome.as_ref()?.value());
    best.is_none_or(|best| !direction.better(best, value))
}

pub(super) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}
