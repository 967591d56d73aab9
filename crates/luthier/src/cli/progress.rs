//! What a person sees while a study runs: a few lines that move on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use luthier_core::{Direction, Event, History, Outcome, TrialId};
use luthier_runner::Observer;

use super::output::{number, seconds, tell};

/// Shows how a study goes.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    /// Whether it shows what other sessions do, too.
    all: bool,
    objective: String,
    /// What is counted: epochs, or the steps of a program.
    unit: &'static str,
    direction: Direction,
    /// Whether the objective alone says which trial is the best.
    plain: bool,
    trials: Option<u64>,
    deadline: Option<Instant>,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    best: Option<(TrialId, f64)>,
    /// Running trials with their last epoch and value.
    running: BTreeMap<TrialId, Option<(u64, f64)>>,
    done: u64,
    done_before: u64,
}

impl Progress {
    pub(crate) fn new(
        history: &History,
        (objective, unit): (&str, &'static str),
        trials: Option<u64>,
        deadline: Option<Instant>,
        quiet: bool,
    ) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        let done = history.trials().iter().filter(|trial| trial.outcome.is_some()).count() as u64;
        let best = history.best().filter(|_| history.criteria().is_empty());
        let best = best.and_then(|best| Some((best.id, best.outcome.as_ref()?.value()?)));
        let progress = Self {
            bar,
            quiet,
            all: true,
            objective: objective.to_owned(),
            unit,
            direction: history.direction(),
            plain: history.criteria().is_empty(),
            trials,
            deadline,
            started: Instant::now(),
            state: Mutex::new(State { best, running: BTreeMap::new(), done, done_before: done }),
        };
        if done > 0 {
            progress.say(&format!("going on after {done} finished trials"));
        }
        progress
    }

    /// Shows only what this session does.
    pub(crate) fn of_this_session(self) -> Self {
        Self { all: false, ..self }
    }

    /// Takes the moving lines away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says a line above the moving ones.
    pub(crate) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| tell(line)),
            None if !self.quiet => tell(line),
            None => {}
        }
    }

    fn ended(&self, trial: TrialId, outcome: &Outcome, time: f64) {
        let mut state = self.state();
        state.running.remove(&trial);
        state.done += 1;
        let mut line = format!("trial {trial}: {}", outcome.state());
        if let Some(value) = outcome.value() {
            line += &format!(", {} {}", self.objective, number(value));
            if self.plain && state.best.is_none_or(|(_, best)| self.direction.better(value, best)) {
                state.best = Some((trial, value));
                line += " (best so far)";
            }
        }
        line += &format!(", {}", seconds(time));
        if let Some(note) = outcome.note() {
            line += &format!("; {note}");
        }
        drop(state);
        self.say(&line);
    }

    /// The moving lines.
    fn status(&self, state: &State) -> String {
        let mut head = format!("{} trials", state.done);
        if let Some(trials) = self.trials {
            head = format!("{} of {trials} trials", state.done);
        }
        if let Some((trial, best)) = state.best {
            head += &format!(", best {} {} (trial {trial})", self.objective, number(best));
        }
        if let Some(left) = self.left(state) {
            head += &format!(", {} left", seconds(left));
        }
        let mut text = head;
        for (trial, last) in &state.running {
            text += &match last {
                Some((epoch, value)) => {
                    format!("\n  trial {trial}: {} {epoch}, {} {}", self.unit, self.objective, number(*value))
                }
                None => format!("\n  trial {trial}: first {}", self.unit),
            };
        }
        text
    }

    /// Seconds left: by the time limit, or by how long trials have taken, whichever is less.
    fn left(&self, state: &State) -> Option<f64> {
        let by_deadline =
            self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()).as_secs_f64());
        let fresh = state.done - state.done_before;
        let by_trials = self.trials.filter(|_| fresh > 0).map(|trials| {
            let each = self.started.elapsed().as_secs_f64() / fresh as f64;
            each * trials.saturating_sub(state.done) as f64
        });
        match (by_deadline, by_trials) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

impl Observer for Progress {
    fn hears_others(&self) -> bool {
        self.all
    }

    fn event(&self, event: &Event) {
        match event {
            Event::TrialStarted { trial, .. } => {
                self.state().running.insert(*trial, None);
            }
            Event::Reported { trial, report } => {
                self.state().running.insert(*trial, Some((report.step, report.value)));
            }
            Event::TrialPaused { trial, cause } => {
                self.state().running.remove(trial);
                self.say(&format!("trial {trial}: {cause}"));
            }
            Event::TrialFinished { trial, outcome, seconds } => self.ended(*trial, outcome, *seconds),
            _ => {}
        }
        if let Some(bar) = &self.bar {
            bar.set_message(self.status(&self.state()));
        }
    }

    fn notice(&self, message: &str) {
        self.say(&format!("note: {message}"));
    }
}
