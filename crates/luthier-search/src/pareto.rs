//! Several losses at once: who is better than whom, and how much a set of points covers.
//!
//! Symbols: m is the number of objectives, n that of points, r the reference point; all losses are to be small. A point
//! dominates another if it is at least as good everywhere and better somewhere. The hypervolume is the measure of what
//! lies between the points and r, that is of the boxes `[p, r]` together (Zitzler and Thiele 1998).
//!
//! | function | method | complexity |
//! | --- | --- | --- |
//! | [`ranks`] | fast non-dominated sorting (Deb, Pratap, Agarwal and Meyarivan 2002, section III A) | O(m n²) |
//! | [`crowding`] | crowding distance (the same, III B) | O(m n log n) |
//! | [`hypervolume`] | a sweep for m = 2, else WFG (While, Bradstreet and Barone 2012) | O(n log n); exponential in m at worst |
//! | [`spread`] | greedy choice by what each point adds (Guerreiro, Fonseca and Paquete 2016) | k n hypervolumes of at most k points |
//! | [`knee`] | the point farthest below the plane through the extremes (Das 1999) | O(m n) |
//!
//! Sums are in a fixed order and there is no other function than the basic ones, so results are the same bits anywhere.

pub use luthier_core::dominates;
use luthier_core::{History, Trial};

/// A point: the losses of a trial, one for each objective.
pub type Losses = Vec<f64>;

/// The number of fronts that have to be taken away before a point is dominated by none: 0 for the Pareto front. Losses
/// may be infinite, not NaN.
///
/// ```
/// use luthier_search::pareto::ranks;
/// assert_eq!(ranks(&[vec![1.0, 4.0], vec![2.0, 2.0], vec![3.0, 3.0], vec![4.0, 4.0]]), [0, 0, 1, 2]);
/// ```
pub fn ranks(points: &[Losses]) -> Vec<usize> {
    let n = points.len();
    let mut dominated: Vec<Vec<usize>> = vec![Vec::new(); n];
    let mut above = vec![0_usize; n];
    for i in 0..n {
        for j in i + 1..n {
            if dominates(&points[i], &points[j]) {
                dominated[i].push(j);
                above[j] += 1;
            } else if dominates(&points[j], &points[i]) {
                dominated[j].push(i);
                above[i] += 1;
            }
        }
    }
    let mut ranks = vec![0; n];
    let mut front: Vec<usize> = (0..n).filter(|i| above[*i] == 0).collect();
    let mut rank = 0;
    while !front.is_empty() {
        let mut next = Vec::new();
        for i in front {
            ranks[i] = rank;
            for j in &dominated[i] {
                above[*j] -= 1;
                if above[*j] == 0 {
                    next.push(*j);
                }
            }
        }
        front = next;
        rank += 1;
    }
    ranks
}

/// How lonely each point of a front is: the sum over the objectives of the distance between its two neighbours, as a
/// share of the whole range; infinite for the ends.
pub fn crowding(points: &[Losses]) -> Vec<f64> {
    let n = points.len();
    let mut distances = vec![0.0; n];
    let objectives = points.first().map_or(0, Vec::len);
    for losses in (0..objectives).map(|k| points.iter().map(|point| point[k]).collect::<Vec<f64>>()) {
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|a, b| losses[*a].total_cmp(&losses[*b]).then(a.cmp(b)));
        let (first, last) = (order[0], order[n - 1]);
        let range = losses[last] - losses[first];
        distances[first] = f64::INFINITY;
        distances[last] = f64::INFINITY;
        if range > 0.0 && range.is_finite() {
            for i in 1..n.saturating_sub(1) {
                distances[order[i]] += (losses[order[i + 1]] - losses[order[i - 1]]) / range;
            }
        }
    }
    distances
}

/// The hypervolume between `points` and `reference`. What is not below the reference in every objective adds nothing.
///
/// ```
/// use luthier_search::pareto::hypervolume;
/// assert_eq!(hypervolume(&[vec![1.0, 2.0], vec![2.0, 1.0]], &[3.0, 3.0]), 3.0);
/// ```
pub fn hypervolume(points: &[Losses], reference: &[f64]) -> f64 {
    let inside = |point: &&Losses| point.iter().zip(reference).all(|(x, r)| x < r);
    let kept: Vec<Losses> = points.iter().filter(inside).cloned().collect();
    let mut front = non_dominated(kept);
    match reference.len() {
        0 => 0.0,
        1 => front.first().map_or(0.0, |point| reference[0] - point[0]),
        2 => sweep(&mut front, reference),
        _ => {
            // By the last loss, worst first: then what each point limits is small early.
            front.sort_by(|a, b| b[b.len() - 1].total_cmp(&a[a.len() - 1]).then_with(|| lexical(a, b)));
            wfg(&front, reference)
        }
    }
}

fn lexical(a: &Losses, b: &Losses) -> std::cmp::Ordering {
    let mut pairs = a.iter().zip(b).map(|(a, b)| a.total_cmp(b));
    pairs.find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
}

/// Those that no other one dominates, each once.
fn non_dominated(points: Vec<Losses>) -> Vec<Losses> {
    let mut kept: Vec<Losses> = Vec::with_capacity(points.len());
    for point in points {
        if kept.iter().any(|other| dominates(other, &point) || *other == point) {
            continue;
        }
        kept.retain(|other| !dominates(&point, other));
        kept.push(point);
    }
    kept
}

/// The area of points that do not dominate each other.
fn sweep(front: &mut [Losses], reference: &[f64]) -> f64 {
    front.sort_by(lexical);
    let mut edge = reference[1];
    let mut area = 0.0;
    for point in front {
        area += (reference[0] - point[0]) * (edge - point[1]);
        edge = point[1];
    }
    area
}

/// The sum of what each point adds to those behind it.
fn wfg(front: &[Losses], reference: &[f64]) -> f64 {
    (0..front.len()).map(|k| exclusive(&front[k], &front[k + 1..], reference)).sum()
}

/// What a point covers that `others` do not.
fn exclusive(point: &[f64], others: &[Losses], reference: &[f64]) -> f64 {
    let own: f64 = point.iter().zip(reference).map(|(x, r)| r - x).product();
    let limited = others.iter().map(|other| other.iter().zip(point).map(|(a, b)| a.max(*b)).collect());
    let mut limited = non_dominated(limited.collect());
    own - match (limited.len(), reference.len()) {
        (0, _) => 0.0,
        (1, _) => limited[0].iter().zip(reference).map(|(x, r)| r - x).product::<f64>(),
        (_, 2) => sweep(&mut limited, reference),
        _ => wfg(&limited, reference),
    }
}

/// What each point covers that no other one does.
pub fn contributions(points: &[Losses], reference: &[f64]) -> Vec<f64> {
    (0..points.len())
        .map(|i| {
            let others =
                points.iter().zip(0..).filter(|(_, j)| *j != i).map(|(point, _)| clipped(point, reference));
            exclusive(&clipped(&points[i], reference), &others.collect::<Vec<_>>(), reference).max(0.0)
        })
        .collect()
}

fn clipped(point: &[f64], reference: &[f64]) -> Losses {
    point.iter().zip(reference).map(|(x, r)| x.min(*r)).collect()
}

/// `count` of `points` that cover much together: each time the one that adds most to those before it; of equal ones the
/// first. Gives their places.
pub fn spread(points: &[Losses], count: usize, reference: &[f64]) -> Vec<usize> {
    let points: Vec<Losses> = points.iter().map(|point| clipped(point, reference)).collect();
    let mut left: Vec<usize> = (0..points.len()).collect();
    let mut chosen: Vec<usize> = Vec::new();
    let mut taken: Vec<Losses> = Vec::new();
    // What a point adds only falls as others are chosen, so the last figure is an upper end.
    let mut gains: Vec<f64> = points.iter().map(|point| exclusive(point, &[], reference)).collect();
    while chosen.len() < count && !left.is_empty() {
        let (mut best, mut gain) = (0, f64::NEG_INFINITY);
        for (place, i) in left.iter().enumerate() {
            if gains[*i] <= gain {
                continue;
            }
            gains[*i] = exclusive(&points[*i], &taken, reference);
            if gains[*i] > gain {
                (best, gain) = (place, gains[*i]);
            }
        }
        let i = left.remove(best);
        taken.push(points[i].clone());
        chosen.push(i);
    }
    chosen
}

/// The smallest and the largest loss of each objective.
pub fn bounds(points: &[Losses]) -> Option<(Losses, Losses)> {
    let first = points.first()?;
    let mut ends = (first.clone(), first.clone());
    for point in points {
        for (k, x) in point.iter().enumerate() {
            ends.0[k] = ends.0[k].min(*x);
            ends.1[k] = ends.1[k].max(*x);
        }
    }
    Some(ends)
}

/// The knee of a front: the place of the point that gives up least to be good in all objectives, that is the farthest
/// below the plane through the extremes, on losses scaled to the range of the front. Of equal ones the first.
///
/// ```
/// use luthier_search::pareto::knee;
/// assert_eq!(knee(&[vec![0.0, 10.0], vec![1.0, 2.0], vec![5.0, 1.0], vec![9.0, 0.0]]), Some(1));
/// ```
pub fn knee(front: &[Losses]) -> Option<usize> {
    let sums = heights(front).into_iter().enumerate();
    sums.reduce(|best, next| if next.1 < best.1 { next } else { best }).map(|(place, _)| place)
}

/// How far each point of a front is above the plane through the extremes, but for a constant.
fn heights(front: &[Losses]) -> Vec<f64> {
    let Some((low, high)) = bounds(front) else { return Vec::new() };
    let sum = |point: &Losses| -> f64 {
        let scaled = |k: usize| if high[k] > low[k] { (point[k] - low[k]) / (high[k] - low[k]) } else { 0.0 };
        (0..point.len()).map(scaled).sum()
    };
    front.iter().map(sum).collect()
}

/// The places of points in an order of preference: front by front, each from its [`knee`] on. With one objective that is the
/// order of losses. Of equal ones the first comes first.
///
/// ```
/// use luthier_search::pareto::best_first;
/// assert_eq!(best_first(&[vec![5.0, 5.0], vec![0.0, 10.0], vec![1.0, 2.0], vec![9.0, 0.0]]), [2, 1, 3, 0]);
/// assert_eq!(best_first(&[vec![2.0], vec![1.0], vec![2.0]]), [1, 0, 2]);
/// ```
pub fn best_first(points: &[Losses]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..points.len()).collect();
    if points.first().is_none_or(|point| point.len() == 1) {
        places.sort_by(|a, b| points[*a][0].total_cmp(&points[*b][0]));
        return places;
    }
    let ranks = ranks(points);
    let mut height = vec![0.0; points.len()];
    for rank in 0..=ranks.iter().copied().max().unwrap_or(0) {
        let here: Vec<usize> = places.iter().copied().filter(|i| ranks[*i] == rank).collect();
        let front: Vec<Losses> = here.iter().map(|i| points[*i].clone()).collect();
        for (i, above) in here.into_iter().zip(heights(&front)) {
            height[i] = above;
        }
    }
    places.sort_by(|a, b| ranks[*a].cmp(&ranks[*b]).then(height[*a].total_cmp(&height[*b])));
    places
}

/// The trial that is handed over where nobody chooses another one: the best, or of several objectives the [`knee`] of the
/// front.
pub fn chosen(history: &History) -> Option<&Trial> {
    let winners: Vec<&Trial> = history.winners().iter().filter_map(|id| history.trial(*id)).collect();
    match winners.as_slice() {
        [] => None,
        [one] => Some(one),
        several => {
            let losses: Vec<Losses> = several.iter().filter_map(|trial| trial.loss_vector()).collect();
            several.get(knee(&losses)?).copied()
        }
    }
}

#[cfg(test)]
mod tests;
