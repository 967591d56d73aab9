//! Populations on curves that are known, played event by event.

#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use luthier_core::{
    Direction, Distribution, Ending, Event, FailCause, History, Lineage, Metrics, Outcome, Purpose, Recorded,
    Report, Stop, Streams, TrialId,
};

use super::*;

fn space() -> Space {
    Space::new([
        Parameter::new("rate", Distribution::log_float(1e-4, 1.0)),
        Parameter::new("width", Distribution::int(1, 64)),
        Parameter::new("kind", Distribution::choice(["a", "b"])),
    ])
    .unwrap()
}

/// A study whose trials all report what `loss` says: of the trial's parameters, its step, and the loss before.
struct Played<'a> {
    history: History,
    search: Pbt,
    space: Space,
    loss: &'a dyn Fn(TrialId, &Params, u64, f64) -> f64,
    /// Trials that fail after this step.
    fails: Option<(TrialId, u64)>,
    asked: Vec<Next>,
}

impl<'a> Played<'a> {
    fn new(search: Pbt, steps: u64, loss: &'a dyn Fn(TrialId, &Params, u64, f64) -> f64) -> Self {
        let history = History::new(Direction::Minimize).with_steps(Some(steps));
        Self { history, search, space: space(), loss, fails: None, asked: Vec::new() }
    }

    fn add(&mut self, event: Event) {
        let revision = self.history.revision() + 1;
        self.history.apply(&Recorded { revision, at_ms: 0, event }).unwrap();
    }

    fn next(&self, closed: bool) -> Next {
        let mut rng = Streams::new(3).at(Purpose::Sampler, self.history.trials().len() as u64);
        self.search.next(&self.history.view().closing(closed), &self.space, &mut rng).unwrap()
    }

    /// Runs a trial until it pauses, fails or ends.
    fn run(&mut self, trial: TrialId, until: Option<u64>) {
        let steps = self.history.view().steps().unwrap();
        let known = self.history.trial(trial).unwrap();
        let origin = known.from.as_ref().map(|from| from.origin);
        let at = |id: TrialId, step: u64| {
            self.history.trial(id).unwrap().reports.iter().find(|report| report.step == step).unwrap().value
        };
        let (mut step, mut loss) = match (known.reports.last(), origin) {
            (Some(last), _) => (last.step, last.value),
            (None, Some(origin)) => (origin.step, at(origin.trial, origin.step)),
            (None, None) => (0, 1.0),
        };
        let params = known.params.clone();
        while step < until.unwrap_or(steps) {
            if self.fails == Some((trial, step)) {
                let outcome = Outcome::Failed { cause: FailCause::NotFinite };
                return self.add(Event::TrialFinished { trial, outcome, seconds: 0.0 });
            }
            step += 1;
            loss = (self.loss)(trial, &params, step, loss);
            self.add(Event::Reported {
                trial,
                report: Report { step, value: loss, metrics: Metrics::default() },
            });
        }
        if until.is_some() {
            return self.add(Event::TrialPaused { trial, cause: Stop::Search });
        }
        let outcome = Outcome::Complete { value: loss, step: Some(step), ending: Ending::Full };
        self.add(Event::TrialFinished { trial, outcome, seconds: 0.0 });
    }

    /// To the end, with no new trial from the one with this number on.
    fn play(&mut self, most: u64) {
        for _ in 0..1000 {
            let closed = self.history.trials().len() as u64 >= most;
            let next = self.next(closed);
            self.asked.push(next.clone());
            match next {
                Next::New { params, from, until } => {
                    assert!(!closed);
                    assert!(self.space.contains(&params), "{params:?}");
                    let trial = TrialId(self.history.trials().len() as u64);
                    let from = from.map(Lineage::from);
                    self.add(Event::TrialStarted { trial, params, seed: trial.0, until, at: None, from });
                    self.run(trial, until);
                }
                Next::Resume { trial, until } => {
                    self.add(Event::TrialResumed { trial, until, at: None });
                    self.run(trial, until);
                }
                Next::Done => return,
                Next::Wait => panic!("nobody runs"),
            }
        }
        panic!("it does not end");
    }
}

/// A loss that sinks by what the rate is worth, best at 0.1, and least of all for wide ones.
fn sinks(_: TrialId, params: &Params, _: u64, before: f64) -> f64 {
    let rate = params["rate"].as_f64().unwrap();
    let off = libm::log10(rate) + 1.0;
    before - 0.02 * libm::exp(-off * off)
}

fn four(explore: Explore) -> Pbt {
    let settings =
        Population { size: 4, interval: Some(5), inherit: vec!["width".into()], ..Population::default() };
    Pbt { settings, explore }
}

#[test]
fn the_last_go_on_from_the_first_and_all_come_to_the_end_of_a_lineage() {
    for explore in [Explore::Perturb, Explore::Bandit] {
        let mut played = Played::new(four(explore), 20, &sinks);
        played.play(u64::MAX);
        let trials = played.history.trials();
        // Three generations end before the last, and one of four is replaced in each.
        assert_eq!(trials.len(), 4 + 3);
        for (n, fork) in trials[4..].iter().enumerate() {
            let origin = fork.from.as_ref().unwrap().origin;
            assert_eq!(origin.step, 5 * (n as u64 + 1));
            let parent = &trials[origin.trial.0 as usize];
            assert_eq!(fork.params["width"], parent.params["width"]);
            assert_ne!(fork.params["rate"], parent.params["rate"]);
            // The parent was the best there, the one that is replaced the worst, which stays paused.
            let at = |trial: &luthier_core::Trial| {
                trial.reports.iter().find(|report| report.step == origin.step).map(|report| report.value)
            };
            let others = trials[..4 + n].iter().filter_map(at);
            assert!(others.clone().all(|other| other >= at(parent).unwrap()));
        }
        assert_eq!(trials.iter().filter(|trial| trial.state() == "complete").count(), 4);
        assert_eq!(trials.iter().filter(|trial| trial.state() == "paused").count(), 3);
        // Every member has had 20 epochs.
        let steps: usize = trials.iter().map(|trial| trial.reports.len()).sum();
        assert_eq!(steps, 4 * 20);
    }
}

/// A member that is replaced by nobody as long as it does not fail.
fn survivor() -> TrialId {
    let mut played = Played::new(four(Explore::Perturb), 20, &sinks);
    played.play(u64::MAX);
    played.history.trials().iter().find(|trial| trial.reports.len() == 20).unwrap().id
}

#[test]
fn a_member_that_fails_is_replaced() {
    let mut played = Played::new(four(Explore::Perturb), 20, &sinks);
    let failing = survivor();
    played.fails = Some((failing, 7));
    played.play(u64::MAX);
    let trials = played.history.trials();
    assert_eq!(trials[failing.0 as usize].state(), "failed");
    assert_eq!(trials.iter().filter(|trial| trial.state() == "complete").count(), 4);
    let origins: Vec<u64> =
        trials[4..].iter().map(|trial| trial.from.as_ref().unwrap().origin.step).collect();
    assert_eq!(origins, [5, 10, 15]);
    // All of them at once.
    let loss = |_: TrialId, _: &Params, _: u64, _: f64| f64::NAN;
    let mut played = Played::new(four(Explore::Bandit), 20, &loss);
    played.play(u64::MAX);
    assert_eq!(played.history.trials().len(), 7);
}

#[test]
fn a_study_that_may_begin_no_more_trials_comes_to_its_end_all_the_same() {
    for fails in [None, Some((survivor(), 7))] {
        let mut played = Played::new(four(Explore::Perturb), 20, &sinks);
        played.fails = fails;
        played.play(5);
        assert_eq!(played.history.trials().len(), 5);
        let complete = played.history.trials().iter().filter(|trial| trial.state() == "complete").count();
        assert_eq!(complete, if fails.is_some() { 3 } else { 4 });
    }
    let played = Played::new(four(Explore::Perturb), 20, &sinks);
    let mut rng = Streams::new(3).at(Purpose::Sampler, 0);
    let error = played.search.next(&played.history.view().closing(true), &space(), &mut rng).unwrap_err();
    assert!(error.message.contains("a population of 4 needs at least 4 trials"), "{error}");
    let unknown = History::new(Direction::Minimize);
    let error = played.search.next(&unknown.view(), &space(), &mut rng).unwrap_err();
    assert!(error.message.contains("a known number of reports"), "{error}");
}

#[test]
fn checkpoints_are_wanted_until_all_have_gone_on() {
    let mut played = Played::new(four(Explore::Perturb), 20, &sinks);
    let may = |played: &Played<'_>, step| {
        played.search.may_fork(&played.history.view(), Origin { trial: TrialId(0), step })
    };
    assert!(may(&played, 5));
    played.play(u64::MAX);
    assert!(!may(&played, 5) && !may(&played, 15));
}

#[test]
fn the_bandit_leaves_what_does_not_help() {
    // In steps of 2 from the worst end of the range: how far has each come?
    let rates = |explore: Explore| {
        let mut pbt = four(explore);
        (pbt.settings.size, pbt.settings.interval) = (8, Some(2));
        let mut played = Played::new(pbt, 40, &sinks);
        played.play(u64::MAX);
        let forks = played.history.trials()[8..].iter();
        let off =
            |trial: &luthier_core::Trial| (libm::log10(trial.params["rate"].as_f64().unwrap()) + 1.0).abs();
        let late: Vec<f64> = forks.map(off).skip(20).collect();
        late.iter().sum::<f64>() / late.len() as f64
    };
    let bandit = rates(Explore::Bandit);
    // At random it would be 1.25. The bound is optimistic, so what is little known is tried again and again.
    assert!(bandit < 1.0, "{bandit}");
}

#[test]
fn the_same_history_gives_the_same_next_step() {
    let all = |explore| {
        let mut played = Played::new(four(explore), 20, &sinks);
        played.play(u64::MAX);
        played.asked
    };
    for explore in [Explore::Perturb, Explore::Bandit] {
        assert_eq!(all(explore), all(explore));
    }
    assert_ne!(all(Explore::Perturb), all(Explore::Bandit));
}

#[test]
fn constraints_on_parameters_are_kept_by_founders_and_forks() {
    let constraint = luthier_core::Constraint::parse("rate * width <= 0.05 and kind == 'a'").unwrap();
    let space = space().with_constraints([constraint]).unwrap();
    for explore in [Explore::Perturb, Explore::Bandit] {
        let mut pbt = four(explore);
        (pbt.settings.quantile, pbt.settings.interval) = (0.5, Some(1));
        let mut played = Played::new(pbt, 20, &sinks);
        played.space = space.clone();
        played.play(u64::MAX);
        let trials = played.history.trials();
        assert!(trials.len() > 30);
        let rates: std::collections::BTreeSet<String> =
            trials.iter().map(|trial| trial.params["rate"].to_string()).collect();
        assert!(rates.len() > 10, "{rates:?}");
    }
    let none = luthier_core::Constraint::parse("width > 64").unwrap();
    let mut played = Played::new(four(Explore::Perturb), 20, &sinks);
    played.space = played.space.with_constraints([none]).unwrap();
    let mut rng = Streams::new(3).at(Purpose::Sampler, 0);
    let error = played.search.next(&played.history.view(), &played.space, &mut rng).unwrap_err();
    assert!(error.message.contains("none keeps the constraints `width > 64`"), "{error}");
}

#[test]
fn members_that_miss_a_constraint_on_results_are_replaced_first() {
    let constraints = vec![luthier_core::Constraint::parse("size <= 10").unwrap()];
    let criteria = Criteria { objectives: Vec::new(), constraints };
    let history = History::new(Direction::Minimize).with_steps(Some(2)).with_criteria(criteria);
    let mut played = luthier_core::testing::Played(history);
    let settings = Population { size: 4, interval: Some(1), quantile: 0.5, ..Population::default() };
    let pbt = Pbt { settings, explore: Explore::Perturb };
    // The best by its loss misses the most, the next one less; one has no loss at all.
    for (loss, size) in [(0.1, 90.0), (0.5, 10.0), (0.2, 11.0), (f64::NAN, 1.0)] {
        let trial = played.begin(space().sample(&mut Streams::new(0).at(Purpose::Data, 0)), Some(1));
        played.report_with(trial, 1, loss, &[("size", size)]);
        played.pause(trial);
    }
    let generation = pbt.generation(&played.0.view()).unwrap();
    let parents: Vec<u64> = generation.parents().iter().map(|trial| trial.id().0).collect();
    assert_eq!(parents, [1, 2]);
}

#[test]
fn what_a_population_makes_no_use_of_is_named() {
    let pbt = Pbt::perturbed();
    let plain = Parameter::new("x", Distribution::float(0.0, 1.0));
    let check = |parameter: Parameter, criteria: &Criteria| {
        pbt.check(&Space::new([parameter]).unwrap(), criteria).map_err(|misfit| misfit.to_string())
    };
    let one = Criteria::default();
    let goal = luthier_core::Goal { name: "y".to_owned(), direction: Direction::Minimize };
    let two = Criteria { objectives: vec![goal], constraints: Vec::new() };
    assert_eq!(check(plain.clone(), &one), Ok(()));
    assert!(check(plain.clone(), &two).unwrap_err().contains("one objective"));
    let believed = plain.clone().believed(luthier_core::Prior::around(0.5));
    assert!(check(believed, &one).unwrap_err().starts_with("`x`: a population makes no use of priors"));
    assert!(check(plain.clone().in_role(Role::Scientific), &one).unwrap_err().contains("scientific"));
    let settings = Population { inherit: vec!["x".into(), "xs".into()], ..Population::default() };
    let inherits = Pbt { settings, explore: Explore::Perturb };
    assert_eq!(inherits.check(&Space::new([plain]).unwrap(), &one), Err(Misfit::Inherited("xs".into())));
}
