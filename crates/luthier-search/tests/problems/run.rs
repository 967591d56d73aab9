//! A search that is run on a problem, trial by trial.

use luthier_core::{
    Decision, Direction, Ending, Event, History, Metrics, Next, Outcome, Params, Purpose, Recorded, Report,
    Search, Stop, Streams, TrialId,
};

use super::Problem;

/// What a trial has come to at a step. Curves fall as powers of the step, quickly where the first parameter is large, so
/// that early steps say something and mislead a little; the last step has the loss.
fn at_step(problem: &Problem, params: &Params, step: u64, steps: u64) -> f64 {
    let loss = (problem.loss)(params);
    let first = problem.space.iter().next().unwrap();
    let unit = first.distribution.to_unit(&params[&first.name]).unwrap();
    let power = 0.5 + unit;
    let rest = |step: u64| libm::pow(step as f64, -power) - libm::pow(steps as f64, -power);
    loss + 3.0 * rest(step) / rest(1)
}

/// A study on a problem.
struct Run<'a> {
    problem: &'a Problem,
    search: &'a dyn Search,
    streams: Streams,
    history: History,
    /// The loss of what looks best after each report, or each trial where there are none.
    looks: Vec<f64>,
    /// The best loss that the search has heard of, and what it is without noise.
    best: (f64, f64),
}

/// The loss of what looks best after `trials` trials, or after as many reports as such trials make.
pub(crate) fn regret(problem: &Problem, search: &dyn Search, seed: u64, trials: u64) -> f64 {
    regrets(problem, search, seed, [trials])[0]
}

/// The same of one study after several numbers of trials, the last of which is the largest.
pub(crate) fn regrets<const N: usize>(
    problem: &Problem,
    search: &dyn Search,
    seed: u64,
    trials: [u64; N],
) -> [f64; N] {
    let history = History::new(Direction::Minimize).with_steps(problem.steps);
    let best = (f64::INFINITY, f64::INFINITY);
    let mut run = Run { problem, search, streams: Streams::new(seed), history, looks: Vec::new(), best };
    let steps = problem.steps.unwrap_or(1);
    let budget = trials[N - 1] * steps;
    while run.spent() < budget {
        let n = run.history.trials().len() as u64;
        let mut rng = run.streams.at(Purpose::Sampler, n);
        let trial = match search.next(&run.history.view(), &problem.space, &mut rng).unwrap() {
            Next::New { params, until, .. } => {
                assert!(problem.space.contains(&params), "{params:?}");
                let trial = TrialId(n);
                run.record(Event::TrialStarted { trial, params, seed: n, until, at: None, from: None });
                trial
            }
            Next::Resume { trial, until } => {
                run.record(Event::TrialResumed { trial, until, at: None });
                trial
            }
            Next::Wait | Next::Done => break,
        };
        run.go_on(trial, budget);
    }
    trials.map(|trials| {
        run.looks[..(trials * steps).min(run.spent()) as usize].last().map_or(f64::INFINITY, |x| *x)
    })
}

impl Run<'_> {
    /// Reports, or trials where there are none.
    fn spent(&self) -> u64 {
        self.looks.len() as u64
    }

    fn record(&mut self, event: Event) {
        let revision = self.history.revision() + 1;
        self.history.apply(&Recorded { revision, at_ms: 0, event }).unwrap();
    }

    /// A loss with its noise, which is remembered if it is the best.
    fn hear(&mut self, trial: TrialId, step: u64, loss: f64) -> f64 {
        let position = (trial.0 << 8) | step;
        let noise = self.problem.noise * self.streams.at(Purpose::Data, position).normal();
        if loss + noise < self.best.0 {
            self.best = (loss + noise, loss);
        }
        self.looks.push(self.best.1);
        loss + noise
    }

    /// Runs a trial to its pause or its end.
    fn go_on(&mut self, trial: TrialId, budget: u64) {
        let known = self.history.trial(trial).unwrap();
        let (params, until) = (known.params.clone(), known.until);
        let first = known.reports.last().map_or(1, |report| report.step + 1);
        let Some(steps) = self.problem.steps else {
            let value = self.hear(trial, 0, (self.problem.loss)(&params));
            let outcome = Outcome::Complete { value, step: None, ending: Ending::Full };
            return self.record(Event::TrialFinished { trial, outcome, seconds: 0.0 });
        };
        for step in first..=until.map_or(steps, |until| until.min(steps)) {
            if self.spent() == budget {
                return;
            }
            let value = self.hear(trial, step, at_step(self.problem, &params, step, steps));
            let report = Report { step, value, metrics: Metrics::default() };
            self.record(Event::Reported { trial, report });
            let view = self.history.view();
            let running = view.get_unfinished(trial).unwrap();
            let mut rng = self.streams.of_decision(trial, step);
            if let Decision::Stop(reason) = self.search.decide(&view, &running, &mut rng) {
                let outcome = Outcome::Stopped { reason, value: Some(value) };
                return self.record(Event::TrialFinished { trial, outcome, seconds: 0.0 });
            }
        }
        if until.is_some_and(|until| until < steps) {
            return self.record(Event::TrialPaused { trial, cause: Stop::Search });
        }
        let best = self.history.trial(trial).unwrap().best_report().unwrap();
        let outcome = Outcome::Complete { value: best.value, step: Some(best.step), ending: Ending::Full };
        self.record(Event::TrialFinished { trial, outcome, seconds: 0.0 });
    }
}
