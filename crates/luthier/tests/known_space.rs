//! Studies in Rust whose parameters are known beforehand.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its files has failed")]

use std::collections::BTreeMap;

use luthier::{Decision, Study, StudyBuilder, StudyError, Trial};
use luthier_core::{Condition, Constraint, Distribution, Parameter, Params, Prior, Role, Space};

fn space() -> Space {
    Space::new([
        Parameter::new("optimizer", Distribution::choice(["adam", "sgd"])),
        Parameter::new("rate", Distribution::log_float(1e-5, 1.0)),
        Parameter::new("momentum", Distribution::float(0.0, 1.0)).when(Condition::equals("optimizer", "sgd")),
    ])
    .unwrap()
}

fn loss(params: &Params) -> f64 {
    let rate = params["rate"].as_f64().unwrap().log10();
    match params.get("momentum") {
        None => 0.3 + (rate + 3.0).powi(2),
        Some(momentum) => (momentum.as_f64().unwrap() - 0.9).powi(2) + (rate + 1.0).powi(2),
    }
}

fn builder() -> StudyBuilder {
    Study::builder("known").seed(4)
}

fn all_params(study: &Study) -> Vec<Params> {
    study.history().trials().iter().map(|trial| trial.params.clone()).collect()
}

/// What is said where a study cannot be had.
fn refused(builder: StudyBuilder) -> String {
    builder.in_memory().map(|_| ()).unwrap_err().to_string()
}

#[test]
fn a_trial_begins_with_all_of_its_parameters() {
    let limit = "rate + momentum <= 1";
    let study = builder().space(space()).constraint(limit).in_memory().unwrap();
    let space = space().with_constraints(vec![Constraint::parse(limit).unwrap()]).unwrap();
    study.optimize(40, |trial| Ok(loss(&trial.params()))).unwrap();
    assert!(study.best().unwrap().value < 0.05, "{:?}", study.best());
    for params in all_params(&study) {
        assert!(space.contains(&params) && space.allows(&params), "{params:?}");
    }
    let shares = study.importance(luthier::search::importance::Method::Fanova, None).unwrap();
    assert_eq!(shares.parameters.len(), 3);
}

#[test]
fn each_scientific_value_has_as_many_trials() {
    let scientific = Space::new(space().iter().cloned().map(|parameter| {
        if parameter.name == "optimizer" { parameter.in_role(Role::Scientific) } else { parameter }
    }));
    let study = builder().space(scientific.unwrap()).sampler("random").in_memory().unwrap();
    study.optimize(20, |trial| Ok(loss(&trial.params()))).unwrap();
    let mut trials: BTreeMap<String, usize> = BTreeMap::new();
    for params in all_params(&study) {
        *trials.entry(params["optimizer"].to_string()).or_default() += 1;
    }
    assert_eq!(trials.into_values().collect::<Vec<_>>(), [10, 10]);
}

#[test]
fn a_parameter_may_be_asked_for_as_it_stands_in_the_space() {
    let study = builder().space(space()).in_memory().unwrap();
    study.enqueue([("optimizer", "adam")]);
    let mut trial = study.ask().unwrap();
    let rate = trial.suggest_float("rate", 1e-5..=1.0).log().get().unwrap();
    assert_eq!(Some(rate), trial.params()["rate"].as_f64());
    assert_eq!(trial.suggest_choice("optimizer", &["adam", "sgd"]).unwrap(), "adam");
    let said = |asked: Result<f64, StudyError>| asked.unwrap_err().to_string();
    let range = said(trial.suggest_float("rate", 1e-5..=1.0).get());
    assert!(range.contains("in the study's space it is"), "{range}");
    let unknown = said(trial.suggest_float("ratee", 0.0..=1.0).get());
    assert!(unknown.contains("did you mean `rate`?"), "{unknown}");
    let inactive = said(trial.suggest_float("momentum", 0.0..=1.0).get());
    assert!(inactive.contains("does not exist beside"), "{inactive}");
    study.tell(trial, 1.0).unwrap();
}

#[test]
fn trials_are_stopped() {
    for pruner in ["median", "asha_stop"] {
        let study = builder().space(space()).sampler("random").pruner(pruner).in_memory().unwrap();
        let train = |trial: &mut Trial<'_>| {
            let last = loss(&trial.params());
            for step in 1..=9 {
                if let Decision::Stop(_) = trial.report(step, last + 1.0 / step as f64)? {
                    break;
                }
            }
            Ok(last)
        };
        study.optimize(30, train).unwrap();
        let reports = study.history().trials().iter().map(|trial| trial.reports.len()).sum::<usize>();
        assert!(reports < 200, "{pruner}: {reports} of 270");
        assert!(study.best().is_some());
    }
}

#[test]
fn a_study_goes_on_from_what_is_known() {
    let study = builder().space(space()).in_memory().unwrap();
    study.enqueue([("momentum", 0.25)]);
    study.optimize(30, |trial| Ok(loss(&trial.params()))).unwrap();
    let first = &all_params(&study)[0];
    assert_eq!((first["optimizer"].as_str(), first["momentum"].as_f64()), (Some("sgd"), Some(0.25)));
    let best = study.best().unwrap().params;
    // One that knows its space, and one that finds it.
    let known = builder().space(space()).in_memory().unwrap();
    known.warm_start(&study.history());
    known.optimize(1, |trial| Ok(loss(&trial.params()))).unwrap();
    assert_eq!(all_params(&known)[0], best);
    let asks = builder().in_memory().unwrap();
    asks.warm_start(&study.history());
    asks.optimize(1, |trial| Ok(trial.suggest_float("rate", 1e-5..=1.0).log().get()?)).unwrap();
    assert_eq!(all_params(&asks)[0]["rate"], best["rate"]);
}

#[test]
fn what_does_not_go_together_is_said() {
    let believed = Parameter::new("x", Distribution::float(0.0, 1.0)).believed(Prior::around(0.5));
    let space_of = |parameter| Space::new([parameter]).unwrap();
    let said = refused(builder().space(space_of(believed)).sampler("sobol"));
    assert!(said.contains("`x`: it has a prior: expected a sampler that makes use of priors"), "{said}");
    let said = refused(builder().space(space()).sampler("pbt"));
    assert!(said.contains("pauses trials and forks them"), "{said}");
    for pruner in ["asha", "{ kind = \"hyperband\" }", "halving", "curve"] {
        let said = refused(builder().pruner(pruner));
        assert!(said.contains("lets trials pause") && said.contains("take \"asha_stop\""), "{said}");
    }
    let said = refused(builder().sampler("grid"));
    assert!(said.contains("StudyBuilder::space"), "{said}");

    let grid = builder().space(space()).sampler("{ kind = \"grid\", points = 2 }").in_memory().unwrap();
    grid.enqueue([("rate", 0.1)]);
    let said = grid.ask().map(|_| ()).unwrap_err().to_string();
    assert!(said.contains("nothing with the sampler \"grid\""), "{said}");
    grid.optimize(100, |trial| Ok(loss(&trial.params()))).unwrap();
    assert_eq!(all_params(&grid).len(), 2 + 4);
    assert!(matches!(grid.ask().map(|_| ()), Err(StudyError::Exhausted)));

    let said = refused(builder().space(space()).constraint("rate < megabytes"));
    assert!(said.contains("`rate < megabytes`: it is on parameters or on metrics"), "{said}");
    let study = builder().space(space()).constraint("rate < 0.5").in_memory().unwrap();
    study.enqueue([("rate", 0.7)]);
    let said = study.ask().map(|_| ()).unwrap_err().to_string();
    assert!(said.contains("expected values that keep the constraint `rate < 0.5`"), "{said}");
    // It was the configuration's fault, and the next one is tried.
    assert!(study.ask().unwrap().params()["rate"].as_f64().unwrap() < 0.5);
}
