//! What is good where there are several objectives (MOTPE).
//!
//! The good observations are the first fronts; of the front that no longer fits as a whole those that cover most
//! together. A good one weighs by what it alone covers (Ozaki, Tanigaki, Watanabe, Nomura and Onishi 2022,
//! "Multiobjective tree-structured Parzen estimator", JAIR 73). What misses a constraint comes behind all others.

use super::parzen::Cube;
use super::{GOOD_LIMIT, Split, Tpe, thinned};
use crate::pareto::{contributions, spread};
use crate::sampler::several::{Scale, Several};

/// The share of the front's range that lies behind its worst losses: where its ends still cover something.
const MARGIN: f64 = 1.1;

/// The least weight of a good observation, where the most is 1: one that is covered by others is not forgotten.
const LEAST: f64 = 0.1;

impl Split {
    /// Splits trials with several losses.
    pub(super) fn of_several(several: &Several<'_>, cube: &Cube<'_>, tpe: &Tpe) -> Self {
        let fronts = several.fronts();
        let n: usize = fronts.iter().map(Vec::len).sum();
        let count = ((tpe.good_share * n as f64).ceil() as usize).clamp(1, GOOD_LIMIT).min(n);
        let mut good: Vec<usize> = Vec::with_capacity(count);
        for front in &fronts {
            let room = count - good.len();
            if front.len() <= room {
                good.extend(front);
            } else if room > 0 {
                let losses = several.losses(front);
                let scale = Scale::new(&losses, &losses);
                let scaled: Vec<Vec<f64>> = losses.iter().map(|losses| scale.of(losses)).collect();
                let reference = vec![MARGIN; scaled[0].len()];
                good.extend(spread(&scaled, room, &reference).into_iter().map(|i| front[i]));
            }
        }
        let weights = weights(several, &good);
        let point = |i: usize, weight: f64| {
            let weight = weight * tpe.weight_of_age(i, several.seen.len());
            (cube.point(several.seen[i].params), weight)
        };
        let bad = |i: &usize| several.seen[*i].losses.is_some() && !good.contains(i);
        let rest: Vec<usize> = (0..several.seen.len()).filter(bad).collect();
        let lost: Vec<usize> =
            (0..several.seen.len()).filter(|i| several.seen[*i].losses.is_none()).collect();
        let bad = [thinned(&rest), thinned(&lost)].concat();
        Self {
            good: good.iter().zip(weights).map(|(i, weight)| point(*i, weight)).collect(),
            bad: bad.into_iter().map(|(i, weight)| point(i, weight)).collect(),
        }
    }
}

/// What good observations weigh, 1 on average: by what each alone covers; the least for those that miss a constraint.
fn weights(several: &Several<'_>, good: &[usize]) -> Vec<f64> {
    let losses = several.losses(good);
    let scale = Scale::new(&losses, &losses);
    let scaled: Vec<Vec<f64>> = losses.iter().map(|losses| scale.of(losses)).collect();
    let reference = vec![MARGIN; scaled.first().map_or(0, Vec::len)];
    let covered = contributions(&scaled, &reference);
    let most = covered.iter().copied().fold(0.0, f64::max);
    let weigh = |(covered, i): (&f64, &usize)| {
        let keeps = several.seen[*i].violation <= 0.0;
        if keeps && most > 0.0 { (covered / most).max(LEAST) } else { LEAST }
    };
    let weights: Vec<f64> = covered.iter().zip(good).map(weigh).collect();
    let mean = weights.iter().sum::<f64>() / weights.len().max(1) as f64;
    weights.into_iter().map(|weight| weight / mean).collect()
}
