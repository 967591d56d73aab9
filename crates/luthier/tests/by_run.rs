//! Studies whose trials ask for their parameters one by one.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its files has failed")]

use std::collections::BTreeSet;

use luthier::{BoxError, Study, Trial};
use luthier_core::{Params, Prior};

/// Three parameters, one of which exists beside one option only.
fn objective(trial: &mut Trial<'_>) -> Result<f64, BoxError> {
    let kind = trial.suggest_choice("optimizer", &["adam", "sgd"])?;
    let rate = trial.suggest_float("rate", 1e-5..=1.0).log().get()?;
    if kind == "adam" {
        return Ok(0.3 + (rate.log10() + 3.0).powi(2));
    }
    let momentum = trial.suggest_float("momentum", 0.0..=1.0).get()?;
    Ok((momentum - 0.9).powi(2) + (rate.log10() + 1.0).powi(2))
}

fn params(study: &Study) -> Vec<Params> {
    study.history().trials().iter().map(|trial| trial.params.clone()).collect()
}

#[test]
fn sobol_visits_every_quadrant() {
    let study = Study::builder("even").sampler("sobol").in_memory().unwrap();
    study
        .optimize(64, |trial| {
            let rate = trial.suggest_float("rate", 1e-5..=1e-1).log().get()?;
            let dropout = trial.suggest_float("dropout", 0.0..=1.0).get()?;
            Ok(rate + dropout)
        })
        .unwrap();
    let mut cells = BTreeSet::new();
    for params in params(&study) {
        let rate = (params["rate"].as_f64().unwrap().log10() + 5.0) / 4.0;
        cells.insert(((8.0 * rate) as u8, (8.0 * params["dropout"].as_f64().unwrap()) as u8));
    }
    assert_eq!(cells.len(), 64);
}

#[test]
fn conditional_parameters_are_searched_together() {
    let study = Study::builder("conditional").seed(4).in_memory().unwrap();
    study.optimize(40, objective).unwrap();
    let best = study.best().unwrap();
    assert!(best.value < 0.01, "{best:?}");
    for trial in study.history().trials() {
        assert_eq!(trial.params.contains_key("momentum"), trial.params["optimizer"].as_str() == Some("sgd"));
        assert!(trial.params.keys().eq(trial.suggested.keys()), "nothing that it has not asked for");
    }
}

#[test]
fn a_study_that_is_opened_again_goes_on_as_if_it_had_not_ended() {
    let folder = tempfile::tempdir().unwrap();
    let whole = Study::builder("whole").seed(2).in_memory().unwrap();
    let believing = |trial: &mut Trial<'_>| {
        let width = trial.suggest_int("width", 1..=64).log().believed(Prior::around(16)).get()?;
        Ok(objective(trial)? + 0.01 * width as f64)
    };
    whole.optimize(20, believing).unwrap();
    for trials in [3, 1, 9, 7] {
        let part = Study::builder("part").seed(2).stored_in(folder.path().join("study.db")).unwrap();
        part.optimize(trials, believing).unwrap();
        let found = params(&part);
        assert_eq!(found, params(&whole)[..found.len()]);
    }
}

#[test]
fn trials_at_once_know_of_each_other() {
    let study = Study::builder("four").sampler("gp").seed(1).parallel(4).in_memory().unwrap();
    study.optimize(60, objective).unwrap();
    let tried: BTreeSet<String> = params(&study).iter().map(|params| format!("{params:?}")).collect();
    assert_eq!(tried.len(), 60);
    assert!(study.best().unwrap().value < 0.1, "{:?}", study.best());
    // Two that are begun one after the other, before either has asked.
    let (mut a, mut b) = (study.ask().unwrap(), study.ask().unwrap());
    let rates = [&mut a, &mut b].map(|trial| trial.suggest_float("rate", 1e-5..=1.0).log().get().unwrap());
    assert_ne!(rates[0], rates[1]);
}

#[test]
fn a_grid_is_refused_with_what_to_do() {
    let error = Study::builder("grid").sampler("grid").in_memory().map(|_| ()).unwrap_err().to_string();
    for part in ["the sampler \"grid\"", "ask for them one by one", "StudyBuilder::space", "take \"sobol\""] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_prior_beside_a_sampler_that_makes_no_use_of_it_is_refused() {
    let study = Study::builder("believed").sampler("sobol").in_memory().unwrap();
    let mut trial = study.ask().unwrap();
    let asked = trial.suggest_float("x", 0.0..=1.0).believed(Prior::around(0.5)).get();
    let said = asked.unwrap_err().to_string();
    assert!(said.contains("`x`: it has a prior: expected a sampler that makes use of priors"), "{said}");
}
