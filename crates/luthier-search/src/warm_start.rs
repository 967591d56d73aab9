//! What an earlier study hands on: its best configurations, as starting points of another one.
//!
//! Symbols: the distance of two configurations is the mean over the parameters of the new space of the difference of their
//! coordinates in `[0, 1]`; options that differ, and a parameter that one of the two lacks, count 1. From the best trial on,
//! each is taken that is at least [`APART`] from all that were taken before, until there are enough.
//!
//! Starting points were chosen over a decaying prior because they cost an unrelated study nothing but their own trials
//! (Feurer, Springenberg and Hutter 2015, "Initializing Bayesian hyperparameter optimization via meta-learning"):
//! `docs/search.md` has figures.
//!
//! Complexity: O(n log n + n k d) for n trials, k that are taken and d parameters.

use luthier_core::{Distribution, Params, Space, View};

/// Configurations that a new study begins with, of all earlier ones together.
pub const STARTS: usize = 5;

/// How far apart two of them are at least.
const APART: f64 = 0.05;

/// The best configurations of a history that differ, the best first, as starting points of `space`: values of parameters
/// that it does not have, outside its ranges, or of parameters that do not exist beside the others are left out, and
/// configurations of which nothing is left.
pub fn leaders(view: &View<'_>, space: &Space, most: usize) -> Vec<Params> {
    let mut trials: Vec<(f64, &Params)> = view
        .finished()
        .filter_map(|trial| Some((trial.loss().filter(|loss| loss.is_finite())?, trial.params())))
        .collect();
    // Stable: of equal ones the older first.
    trials.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut taken: Vec<Params> = Vec::new();
    for (_, params) in trials {
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
    use luthier_core::{Condition, Direction, History, Parameter, Value};

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
}
