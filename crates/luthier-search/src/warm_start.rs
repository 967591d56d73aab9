//! What an earlier study hands on: its best configurations, as starting points of another one.
//!
//! Symbols: the distance of two configurations is the mean over the parameters of the new space of the difference of their
//! coordinates in `[0, 1]`; options that differ, and a parameter that one of the two lacks, count 1. From the best trial on,
//! each is taken that is at least [`APART`] from all that were taken before, until there are enough.
//!
//! Of several objectives the best are the first front, from its knee on, then the second, and so on
//! ([`best_first`](pareto::best_first)). Trials that miss a constraint on results count only where all do: then the
//! less they miss the better.
//!
//! Starting points were chosen over a decaying prior because they cost an unrelated study nothing but their own trials
//! (Feurer, Springenberg and Hutter 2015, "Initializing Bayesian hyperparameter optimization via meta-learning"):
//! `docs/search.md` has figures.
//!
//! Complexity: O(n log n + n k d) for n trials, k that are taken and d parameters.

use luthier_core::{Distribution, Params, Space, View};

use crate::pareto::{self, Losses};
use crate::sampler::shares;

/// Configurations that a new study begins with, of all earlier ones together.
pub const STARTS: usize = 5;

/// How far apart two of them are at least.
const APART: f64 = 0.05;

/// The best configurations of a history that differ, the best first, as starting points of `space`: values of parameters
/// that it does not have, outside its ranges, of parameters that do not exist beside the others, or that break its
/// constraints are left out, and configurations of which nothing is left.
pub fn leaders(view: &View<'_>, space: &Space, most: usize) -> Vec<Params> {
    let mut taken: Vec<Params> = Vec::new();
    for params in best_first(view) {
        if taken.len() == most {
            break;
        }
        let start = mapped(params, space);
        if !start.is_empty() && taken.iter().all(|other| distance(other, &start, space) >= APART) {
            taken.push(start);
        }
    }
    taken
}

/// The configurations of complete trials, the best first.
fn best_first<'a>(view: &View<'a>) -> Vec<&'a Params> {
    let trials = view.finished().filter_map(|trial| Some((trial, trial.loss_vector()?)));
    let (kept, missed): (Vec<_>, Vec<_>) = trials.partition(|(trial, _)| trial.keeps_constraints());
    if kept.is_empty() {
        let violations: Vec<Vec<f64>> = missed.iter().map(|(trial, _)| trial.violations().to_vec()).collect();
        let shares = shares(&violations, view.constraints());
        let mut places: Vec<usize> = (0..missed.len()).collect();
        places.sort_by(|a, b| shares[*a].total_cmp(&shares[*b]));
        return places.into_iter().map(|i| missed[i].0.params()).collect();
    }
    let losses: Vec<Losses> = kept.iter().map(|(_, losses)| losses.clone()).collect();
    pareto::best_first(&losses).into_iter().map(|i| kept[i].0.params()).collect()
}

/// The starting points that several histories hand on: the best of each, then the second of each, and so on.
pub fn warm_start<'a>(views: impl IntoIterator<Item = View<'a>>, space: &Space) -> Vec<Params> {
    let lists: Vec<Vec<Params>> = views.into_iter().map(|view| leaders(&view, space, STARTS)).collect();
    let mut taken: Vec<Params> = Vec::new();
    for rank in 0..STARTS {
        for start in lists.iter().filter_map(|list| list.get(rank)) {
            let apart = taken.iter().all(|other| distance(other, start, space) >= APART);
            if apart && taken.len() < STARTS {
                taken.push(start.clone());
            }
        }
    }
    taken
}

/// What of a configuration is one of this space.
fn mapped(params: &Params, space: &Space) -> Params {
    let mut left: Params = space
        .iter()
        .filter_map(|parameter| {
            let value = parameter.distribution.adopt(params.get(&parameter.name)?)?;
            Some((parameter.name.clone(), value))
        })
        .collect();
    // Each turn leaves out one that does not exist beside the others.
    loop {
        match space.start(&left) {
            Ok(start) => return start,
            Err(error) => {
                if left.shift_remove(&error.name).is_none() {
                    return Params::new();
                }
            }
        }
    }
}

fn distance(a: &Params, b: &Params, space: &Space) -> f64 {
    let each = space.iter().map(|parameter| {
        let unit = |params: &Params| parameter.distribution.to_unit(params.get(&parameter.name)?);
        match (unit(a), unit(b), &parameter.distribution) {
            (None, None, _) => 0.0,
            (Some(a), Some(b), Distribution::Choice { .. }) => f64::from(a != b),
            (Some(a), Some(b), _) => (a - b).abs(),
            _ => 1.0,
        }
    });
    each.sum::<f64>() / space.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

    use luthier_core::testing::Played;
    use luthier_core::{
        Condition, Constraint, Criteria, Direction, Ending, Goal, History, Outcome, Parameter, Value,
    };

    use super::*;

    fn history(trials: &[(&[(&str, Value)], f64)]) -> History {
        Played::completed(Direction::Maximize, trials.iter().map(|(values, value)| (params(values), *value)))
    }

    fn params(values: &[(&str, Value)]) -> Params {
        values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    fn space() -> Space {
        Space::new([
            Parameter::new("optimizer", Distribution::choice(["adam", "sgd"])),
            Parameter::new("momentum", Distribution::float(0.0, 0.99))
                .when(Condition::equals("optimizer", "sgd")),
            Parameter::new("rate", Distribution::log_float(1e-4, 1e-1)),
        ])
        .unwrap()
    }

    #[test]
    fn the_best_that_differ_are_taken_with_what_fits() {
        let text = |text: &str| Value::from(text);
        let earlier = history(&[
            (&[("optimizer", text("adam")), ("rate", 1e-3.into()), ("depth", 3.into())], 0.9),
            (&[("optimizer", text("adam")), ("rate", 1.01e-3.into())], 0.8),
            (&[("optimizer", text("lion")), ("rate", 1.0.into())], 0.95),
            (&[("optimizer", text("sgd")), ("momentum", 0.9.into()), ("rate", 5.0.into())], 0.7),
            (&[("optimizer", text("adam")), ("momentum", 0.5.into())], 0.6),
            (&[("rate", 1e-2.into())], f64::NAN),
        ]);
        let space = space();
        let found = leaders(&earlier.view(), &space, 5);
        assert_eq!(
            found,
            [
                params(&[("optimizer", text("adam")), ("rate", 1e-3.into())]),
                params(&[("optimizer", text("sgd")), ("momentum", 0.9.into())]),
                params(&[("optimizer", text("adam"))]),
            ]
        );
        assert!(found.iter().all(|start| space.start(start).is_ok()));
        let other = history(&[(&[("rate", 5e-2.into())], 0.1)]);
        let both = warm_start([earlier.view(), other.view()], &space);
        assert_eq!(both.len(), 4);
        assert_eq!((&both[0], &both[1]), (&found[0], &params(&[("rate", 5e-2.into())])));
        assert!(leaders(&history(&[]).view(), &space, 5).is_empty());
    }

    fn measured(criteria: Criteria, trials: &[(f64, f64, f64)]) -> History {
        let mut played = Played(History::new(Direction::Minimize).with_criteria(criteria));
        for (rate, loss, size) in trials {
            let trial = played.begin(params(&[("rate", (*rate).into())]), None);
            played.report_with(trial, 1, *loss, &[("size", *size)]);
            played.finish(trial, Outcome::Complete { value: *loss, step: Some(1), ending: Ending::Full });
        }
        played.0
    }

    fn rates(history: &History, space: &Space) -> Vec<f64> {
        let leaders = leaders(&history.view(), space, 5);
        leaders.iter().map(|start| start.get("rate").and_then(Value::as_f64).unwrap_or(f64::NAN)).collect()
    }

    #[test]
    fn who_misses_a_constraint_hands_on_nothing_as_long_as_another_one_keeps_it() {
        let limit = || Criteria {
            objectives: Vec::new(),
            constraints: vec![Constraint::parse("size <= 10").unwrap()],
        };
        let some = [(1e-4, 0.1, 90.0), (1e-3, 0.5, 10.0), (1e-2, 0.4, 5.0), (1e-1, 0.2, 11.0)];
        assert_eq!(rates(&measured(limit(), &some), &space()), [1e-2, 1e-3]);
        assert_eq!(rates(&measured(limit(), &[some[0], some[3]]), &space()), [1e-1, 1e-4]);
    }

    #[test]
    fn of_several_objectives_the_front_is_handed_on_from_its_knee_on() {
        let size = Goal { name: "size".to_owned(), direction: Direction::Minimize };
        let two = Criteria { objectives: vec![size], constraints: Vec::new() };
        let trials = [(1e-4, 0.0, 10.0), (1e-3, 9.0, 9.0), (1e-2, 1.0, 2.0), (1e-1, 9.0, 0.0)];
        assert_eq!(rates(&measured(two, &trials), &space()), [1e-2, 1e-4, 1e-1, 1e-3]);
    }

    #[test]
    fn what_breaks_the_new_constraints_is_left_out() {
        let later = space().with_constraints([Constraint::parse("rate < 5e-3").unwrap()]).unwrap();
        let earlier = history(&[
            (&[("rate", 1e-2.into()), ("optimizer", "adam".into())], 0.9),
            (&[("rate", 1e-3.into()), ("optimizer", "sgd".into())], 0.8),
        ]);
        let found = leaders(&earlier.view(), &later, 5);
        let adam = params(&[("optimizer", "adam".into())]);
        let sgd = params(&[("optimizer", "sgd".into()), ("rate", 1e-3.into())]);
        assert_eq!(found, [adam, sgd]);
    }
}
