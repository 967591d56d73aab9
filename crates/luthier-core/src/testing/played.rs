//! A history that tests play event by event.

use crate::{
    Decision, Direction, Ending, Event, History, Metrics, Outcome, Params, Pruner, Purpose, Recorded, Report,
    Stop, Streams, TrialId,
};

/// A history that grows event by event. Its methods panic where an event cannot follow.
#[derive(Debug)]
pub struct Played(pub History);

impl Default for Played {
    fn default() -> Self {
        Self::new()
    }
}

impl Played {
    /// The empty history of a study that minimises.
    pub fn new() -> Self {
        Self(History::new(Direction::Minimize))
    }

    /// The same, of trials of so many steps.
    pub fn with_steps(steps: u64) -> Self {
        Self(History::new(Direction::Minimize).with_steps(Some(steps)))
    }

    /// The history of complete trials with these parameters and values.
    pub fn completed(direction: Direction, trials: impl IntoIterator<Item = (Params, f64)>) -> History {
        let mut played = Self(History::new(direction));
        for (params, value) in trials {
            let trial = played.begin(params, None);
            played.complete(trial, value);
        }
        played.0
    }

    /// Adds an event.
    pub fn add(&mut self, event: Event) {
        let revision = self.0.revision() + 1;
        self.0.apply(&Recorded { revision, at_ms: 0, event }).expect("an event that can follow");
    }

    /// Begins the next trial.
    pub fn begin(&mut self, params: Params, until: Option<u64>) -> TrialId {
        let trial = TrialId(self.0.trials().len() as u64);
        self.add(Event::TrialStarted { trial, params, seed: 0, until, at: None, from: None });
        trial
    }

    /// Begins the next trial, which has no parameters.
    pub fn start(&mut self, until: Option<u64>) -> TrialId {
        self.begin(Params::new(), until)
    }

    /// Lets a paused trial go on.
    pub fn resume(&mut self, trial: TrialId, until: Option<u64>) {
        self.add(Event::TrialResumed { trial, until, at: None });
    }

    /// A report without metrics.
    pub fn report(&mut self, trial: TrialId, step: u64, value: f64) {
        self.report_with(trial, step, value, &[]);
    }

    /// A report with metrics.
    pub fn report_with(&mut self, trial: TrialId, step: u64, value: f64, metrics: &[(&str, f64)]) {
        let metrics: Metrics = metrics.iter().copied().collect();
        self.add(Event::Reported { trial, report: Report { step, value, metrics } });
    }

    /// The search pauses a trial.
    pub fn pause(&mut self, trial: TrialId) {
        self.add(Event::TrialPaused { trial, cause: Stop::Search });
    }

    /// Ends a trial.
    pub fn finish(&mut self, trial: TrialId, outcome: Outcome) {
        self.add(Event::TrialFinished { trial, outcome, seconds: 0.0 });
    }

    /// Ends a trial that has run its whole length.
    pub fn complete(&mut self, trial: TrialId, value: f64) {
        self.finish(trial, Outcome::Complete { value, step: None, ending: Ending::Full });
    }

    /// A complete trial with these values at steps 1, 2, ….
    pub fn whole(&mut self, values: &[f64]) -> TrialId {
        let trial = self.begun(None, values);
        self.complete(trial, values.iter().copied().fold(f64::INFINITY, f64::min));
        trial
    }

    /// A running trial with these values at steps 1, 2, ….
    pub fn begun(&mut self, until: Option<u64>, values: &[f64]) -> TrialId {
        let trial = self.start(until);
        for (value, step) in values.iter().zip(1..) {
            self.report(trial, step, *value);
        }
        trial
    }

    /// What a pruner says of a trial.
    pub fn decide(&self, pruner: &dyn Pruner, trial: TrialId) -> Decision {
        let view = self.0.view();
        let trial = view.get_unfinished(trial).expect("it runs");
        pruner.decide(&view, &trial, &mut Streams::new(0).at(Purpose::Pruner, 0))
    }
}
