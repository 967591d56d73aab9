//! A history that tests play event by event.

use luthier_core::{
    Decision, Direction, Ending, Event, History, Metrics, Outcome, Params, Pruner, Purpose, Recorded, Report,
    Stop, Streams, TrialId,
};

/// A history that grows event by event.
pub(super) struct Played(pub(super) History);

impl Played {
    pub(super) fn new() -> Self {
        Self(History::new(Direction::Minimize))
    }

    pub(super) fn with_steps(steps: u64) -> Self {
        Self(History::new(Direction::Minimize).with_steps(Some(steps)))
    }

    pub(super) fn add(&mut self, event: Event) {
        let revision = self.0.revision() + 1;
        self.0.apply(&Recorded { revision, at_ms: 0, event }).expect("an event that can follow");
    }

    pub(super) fn start(&mut self, until: Option<u64>) -> TrialId {
        let trial = TrialId(self.0.trials().len() as u64);
        self.add(Event::TrialStarted { trial, params: Params::new(), seed: 0, until, at: None, from: None });
        trial
    }

    pub(super) fn resume(&mut self, trial: TrialId, until: Option<u64>) {
        self.add(Event::TrialResumed { trial, until, at: None });
    }

    pub(super) fn report(&mut self, trial: TrialId, step: u64, value: f64) {
        self.report_with(trial, step, value, &[]);
    }

    pub(super) fn report_with(&mut self, trial: TrialId, step: u64, value: f64, metrics: &[(&str, f64)]) {
        let metrics: Metrics = metrics.iter().copied().collect();
        self.add(Event::Reported { trial, report: Report { step, value, metrics } });
    }

    pub(super) fn pause(&mut self, trial: TrialId) {
        self.add(Event::TrialPaused { trial, cause: Stop::Search });
    }

    pub(super) fn complete(&mut self, trial: TrialId, value: f64) {
        let outcome = Outcome::Complete { value, step: None, ending: Ending::Full };
        self.add(Event::TrialFinished { trial, outcome, seconds: 0.0 });
    }

    /// A complete trial with these values at steps 1, 2, ….
    pub(super) fn whole(&mut self, values: &[f64]) -> TrialId {
        let trial = self.begun(None, values);
        self.complete(trial, values.iter().copied().fold(f64::INFINITY, f64::min));
        trial
    }

    /// A running trial with these values at steps 1, 2, ….
    pub(super) fn begun(&mut self, until: Option<u64>, values: &[f64]) -> TrialId {
        let trial = self.start(until);
        for (value, step) in values.iter().zip(1..) {
            self.report(trial, step, *value);
        }
        trial
    }

    pub(super) fn decide(&self, pruner: &dyn Pruner, trial: TrialId) -> Decision {
        let view = self.0.view();
        let trial = view.get_unfinished(trial).expect("it runs");
        pruner.decide(&view, &trial, &mut Streams::new(0).at(Purpose::Pruner, 0))
    }
}
