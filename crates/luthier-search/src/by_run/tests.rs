//! Trials that ask one by one find as much as those whose space is known.

#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use std::collections::BTreeSet;

use luthier_core::testing::Played;
use luthier_core::{Event, History, Purpose, Streams};

use super::*;

/// A study without a space.
struct Study {
    sampler: Box<dyn Sampler>,
    seed: u64,
    played: Played,
}

/// A trial that asks.
struct Trial<'s> {
    study: &'s mut Study,
    id: TrialId,
    proposal: Proposal,
}

impl Study {
    fn new(sampler: &str, seed: u64) -> Self {
        Self { sampler: crate::sampler(sampler).unwrap(), seed, played: Played::new() }
    }

    fn draws(&self, trial: TrialId) -> Rng {
        Streams::new(self.seed).at(Purpose::Sampler, trial.0)
    }

    fn begin(&mut self) -> (TrialId, Proposal) {
        let view = self.played.0.view();
        let mut rng = self.draws(TrialId(view.len() as u64));
        let proposal = Proposal::new(&*self.sampler, &view, &mut rng).unwrap();
        let trial = self.played.start(None);
        self.played.add(Event::ParamsProposed { trial, params: proposal.params().clone() });
        (trial, proposal)
    }

    fn suggest(&mut self, trial: TrialId, proposal: &Proposal, parameter: &Parameter) -> Value {
        let mut rng = self.draws(trial);
        let view = self.played.0.view();
        let value = proposal.value(&*self.sampler, &view, trial, parameter, &mut rng).unwrap();
        let Parameter { name, distribution, prior, .. } = parameter.clone();
        assert!(distribution.contains(&value), "{value} for {name}");
        self.played.add(Event::ParamSuggested { trial, name, distribution, value: value.clone(), prior });
        value
    }

    fn run(&mut self, trials: u64, objective: impl Fn(&mut Trial<'_>) -> f64) {
        for _ in 0..trials {
            let (id, proposal) = self.begin();
            let value = objective(&mut Trial { study: self, id, proposal });
            self.played.complete(id, value);
        }
    }

    fn params(&self) -> Vec<Params> {
        self.played.0.trials().iter().map(|trial| trial.params.clone()).collect()
    }

    fn best(&self) -> f64 {
        self.played.0.view().finished().filter_map(|trial| trial.loss()).fold(f64::INFINITY, f64::min)
    }
}

impl Trial<'_> {
    fn ask(&mut self, name: &str, range: Distribution) -> Value {
        self.study.suggest(self.id, &self.proposal, &Parameter::new(name, range))
    }

    fn float(&mut self, name: &str, low: f64, high: f64) -> f64 {
        self.ask(name, Distribution::float(low, high)).as_f64().unwrap()
    }

    fn int(&mut self, name: &str, low: i64, high: i64) -> i64 {
        self.ask(name, Distribution::int(low, high)).as_i64().unwrap()
    }

    fn choice(&mut self, name: &str, options: &[&str]) -> String {
        self.ask(name, Distribution::choice(options.iter().copied())).as_str().unwrap().to_owned()
    }
}

/// A history in which the space was known from the first trial on.
fn known(sampler: &str, seed: u64, trials: u64, space: &Space, loss: impl Fn(&Params) -> f64) -> History {
    let sampler = crate::sampler(sampler).unwrap();
    let mut played = Played::new();
    for n in 0..trials {
        let mut rng = Streams::new(seed).at(Purpose::Sampler, n);
        let params = sampler.propose(&played.0.view(), space, &mut rng).unwrap();
        let value = loss(&params);
        let trial = played.begin(params, None);
        played.complete(trial, value);
    }
    played.0
}

#[test]
fn a_space_that_stays_is_searched_as_if_it_had_been_known() {
    let space = Space::new([
        Parameter::new("rate", Distribution::log_float(1e-4, 1e-1)),
        Parameter::new("layers", Distribution::int(1, 5)),
        Parameter::new("kind", Distribution::choice(["a", "b", "c"])),
    ])
    .unwrap();
    let loss = |rate: f64, layers: i64, kind: &str| {
        (rate.log10() + 2.0).powi(2) + 0.1 * (layers - 2).pow(2) as f64 + f64::from(u8::from(kind == "b"))
    };
    for name in ["auto", "random", "sobol", "halton", "tpe", "gp", "nsga2"] {
        let mut study = Study::new(name, 3);
        study.run(25, |trial| {
            let rate = trial.ask("rate", Distribution::log_float(1e-4, 1e-1)).as_f64().unwrap();
            let layers = trial.int("layers", 1, 5);
            let kind = trial.choice("kind", &["a", "b", "c"]);
            loss(rate, layers, &kind)
        });
        let history = known(name, 3, 25, &space, |params| {
            let number = |name: &str| params[name].as_f64().unwrap();
            loss(number("rate"), number("layers") as i64, params["kind"].as_str().unwrap())
        });
        let expected: Vec<Params> = history.trials().iter().map(|trial| trial.params.clone()).collect();
        assert_eq!(study.params(), expected, "{name}");
    }
}

#[test]
fn quasi_random_trials_fill_the_space_and_not_its_diagonal() {
    for name in ["sobol", "halton"] {
        let mut study = Study::new(name, 0);
        let seen = |trial: &mut Trial<'_>| {
            let (x, y) = (trial.float("x", 0.0, 1.0), trial.float("y", 0.0, 1.0));
            trial.choice("a", &["no", "yes"]);
            trial.choice("b", &["no", "yes"]);
            x + y
        };
        study.run(64, seen);
        let mut cells = BTreeSet::new();
        let mut options = std::collections::BTreeMap::new();
        for params in study.params() {
            let cell = |name: &str| (8.0 * params[name].as_f64().unwrap()) as u8;
            cells.insert((cell("x"), cell("y")));
            let of = |name: &str| params[name].as_str().unwrap().to_owned();
            *options.entry((of("a"), of("b"))).or_insert(0) += 1;
        }
        // Of Sobol's points each cell has one; of random ones 41 would have some.
        assert!(cells.len() >= if name == "sobol" { 64 } else { 48 }, "{name}: {} cells", cells.len());
        assert!(options.len() == 4 && options.values().all(|count| (14..=18).contains(count)), "{options:?}");
    }
}

#[test]
fn every_combination_of_choices_is_tried() {
    for seed in 0..5 {
        let mut study = Study::new("auto", seed);
        study.run(16, |trial| {
            let (a, b) = (trial.choice("a", &["x", "y"]), trial.choice("b", &["x", "y"]));
            // What is best needs both.
            if a == "x" && b == "y" { 0.0 } else { 1.0 }
        });
        let tried: BTreeSet<String> = study.params().iter().map(|params| format!("{params:?}")).collect();
        assert_eq!(tried.len(), 4, "seed {seed}");
        assert_eq!(study.best(), 0.0);
    }
}

fn rosenbrock(x: &[f64]) -> f64 {
    x.windows(2).map(|pair| 100.0 * (pair[1] - pair[0] * pair[0]).powi(2) + (1.0 - pair[0]).powi(2)).sum()
}

#[test]
fn a_narrow_valley_is_found_as_soon_as_where_the_space_is_known() {
    let median = |mut found: Vec<f64>| {
        found.sort_by(f64::total_cmp);
        found[found.len() / 2]
    };
    for (name, most) in [("auto", 1.0), ("gp", 1.5), ("cmaes", 12.0), ("tpe", 12.0)] {
        let regrets = (0..5).map(|seed| {
            let mut study = Study::new(name, seed);
            study.run(80, |trial| rosenbrock(&["x", "y", "z"].map(|name| trial.float(name, -2.0, 2.0))));
            study.best()
        });
        let found = median(regrets.collect());
        assert!(found < most, "{name}: {found}");
    }
}

/// The best rate is another one for each optimizer, and only one of them has a momentum.
fn optimizer(trial: &mut Trial<'_>) -> f64 {
    let kind = trial.choice("optimizer", &["adam", "sgd", "rmsprop"]);
    let rate = trial.ask("rate", Distribution::log_float(1e-5, 1.0)).as_f64().unwrap().log10();
    let (best, loss) = match kind.as_str() {
        "adam" => (-3.0, 0.2),
        "sgd" => (-1.0, (trial.float("momentum", 0.0, 1.0) - 0.9).powi(2)),
        _ => (-4.0, 0.5),
    };
    loss + 0.1 * (rate - best).powi(2)
}

#[test]
fn what_only_some_trials_ask_for_is_conditional() {
    let mut study = Study::new("random", 1);
    study.run(20, |trial| {
        let layers = trial.int("layers", 1, 3);
        let units: i64 = (2..=layers).map(|i| trial.int(&format!("units{i}"), 1, 9)).sum();
        optimizer(trial) + units as f64
    });
    let space = suggested_space(&study.played.0.view());
    let on = |name: &str| space.get(name).unwrap().conditions.clone();
    assert_eq!(on("momentum"), [Condition::equals("optimizer", "sgd")]);
    assert_eq!(on("units2"), [Condition::AtLeast { param: "layers".into(), value: 2 }]);
    assert_eq!(on("units3"), [Condition::AtLeast { param: "layers".into(), value: 3 }]);
    assert!(on("rate").is_empty() && space.iter().all(|parameter| !parameter.optional));
    // A trial without a loss has said nothing of what it did not come to ask for.
    let (trial, proposal) = study.begin();
    study.suggest(trial, &proposal, &Parameter::new("layers", Distribution::int(1, 3)));
    let cause = luthier_core::FailCause::NotFinite;
    study.played.finish(trial, luthier_core::Outcome::Failed { cause });
    let again = suggested_space(&study.played.0.view());
    assert!(again.get("optimizer").unwrap().is_always_there(), "{again:?}");
    // Nothing that was asked for tells who asks.
    study.run(9, |trial| {
        let value = optimizer(trial);
        if trial.id.0.is_multiple_of(3) { trial.float("sometimes", 0.0, 1.0) + value } else { value }
    });
    let sometimes = suggested_space(&study.played.0.view()).get("sometimes").unwrap().clone();
    assert!(sometimes.optional && sometimes.conditions.is_empty());
}

#[test]
fn conditional_parameters_are_learnt() {
    for (name, most) in [("auto", 0.02), ("gp", 0.05), ("tpe", 0.05), ("cmaes", 0.05), ("nsga2", 0.1)] {
        let mut found: Vec<f64> = (0..5)
            .map(|seed| {
                let mut study = Study::new(name, seed);
                study.run(60, optimizer);
                study.best()
            })
            .collect();
        found.sort_by(f64::total_cmp);
        assert!(found[2] < most, "{name}: {found:?}");
    }
}

#[test]
fn what_nothing_tells_is_no_hindrance_to_the_rest() {
    // Every third trial asks for one more, which makes no difference.
    for (name, most) in [("auto", 1.0), ("gp", 1.5), ("cmaes", 12.0), ("tpe", 12.0), ("nsga2", 12.0)] {
        let mut found: Vec<f64> = (0..5)
            .map(|seed| {
                let mut study = Study::new(name, seed);
                study.run(80, |trial| {
                    let value = rosenbrock(&["x", "y", "z"].map(|name| trial.float(name, -2.0, 2.0)));
                    if trial.id.0.is_multiple_of(3) {
                        trial.float("sometimes", 0.0, 1.0);
                    }
                    value
                });
                study.best()
            })
            .collect();
        found.sort_by(f64::total_cmp);
        assert!(found[2] < most, "{name}: {found:?}");
    }
}

#[test]
fn what_is_asked_for_no_more_is_forgotten() {
    let mut study = Study::new("random", 0);
    study.run(20, |trial| trial.float("old", 0.0, 1.0) + trial.float("x", 0.0, 1.0));
    study.run(RECENT as u64, |trial| trial.float("new", 0.0, 1.0) + trial.float("x", 0.0, 1.0));
    let (_, proposal) = study.begin();
    let names: Vec<&str> = proposal.params().keys().map(String::as_str).collect();
    // In the order in which they came.
    assert_eq!(names, ["x", "new"]);
    assert_eq!(suggested_space(&study.played.0.view()).len(), 3);
}

#[test]
fn a_range_may_change_between_trials() {
    for (name, _) in crate::samplers().filter(|(name, _)| *name != "grid") {
        let mut study = Study::new(name, 2);
        study.run(30, |trial| {
            let high = if trial.id.0 < 15 { 1.0 } else { 4.0 };
            let (x, y) = (trial.float("x", 0.0, high), trial.float("y", 0.0, 4.0));
            let n = trial.int("n", 0, 2 + trial.id.0 as i64 % 3);
            (x - 3.0).powi(2) + (y - 1.0).powi(2) + n as f64
        });
        let x: Vec<f64> = study.params().iter().map(|params| params["x"].as_f64().unwrap()).collect();
        assert!(x[..15].iter().all(|x| *x <= 1.0) && x[15..].iter().any(|x| *x > 2.0), "{x:?}");
    }
}

#[test]
fn a_proposal_holds_while_the_trial_runs_and_others_know_of_it() {
    let three = |trial: &mut Trial<'_>| rosenbrock(&["x", "y", "z"].map(|name| trial.float(name, -2.0, 2.0)));
    let mut study = Study::new("gp", 0);
    study.run(20, three);
    let (first, proposal) = study.begin();
    let parameter = |name: &str| Parameter::new(name, Distribution::float(-2.0, 2.0));
    let x = study.suggest(first, &proposal, &parameter("x"));
    assert_eq!(x, proposal.params()["x"]);
    // It has not asked for y and z yet.
    let (second, other) = study.begin();
    assert_ne!(other, proposal);
    let shown = study.played.0.view().get_unfinished(first).unwrap().params().clone();
    assert_eq!(&shown, proposal.params());
    assert_eq!(study.played.0.trial(first).unwrap().params.len(), 1);
    study.suggest(second, &other, &parameter("x"));
    study.played.complete(second, 0.001);
    for name in ["y", "z"] {
        assert_eq!(study.suggest(first, &proposal, &parameter(name)), proposal.params()[name]);
    }
    // One that ends without asking has only what it has asked for.
    let view = study.played.0.view();
    assert_eq!(view.finished().last().unwrap().params().len(), 1);
}

#[test]
fn a_belief_is_part_of_the_question() {
    let mut study = Study::new("auto", 0);
    let x = Parameter::new("x", Distribution::float(0.0, 1.0)).believed(Prior::around(0.9).within(0.01));
    let y = Parameter::new("y", Distribution::float(0.0, 1.0));
    for _ in 0..5 {
        let (trial, proposal) = study.begin();
        for parameter in [&x, &y] {
            study.suggest(trial, &proposal, parameter);
        }
        study.played.complete(trial, 1.0);
    }
    let near =
        study.params().iter().filter(|params| (params["x"].as_f64().unwrap() - 0.9).abs() < 0.05).count();
    assert!(near >= 3, "{:?}", study.params());
}
