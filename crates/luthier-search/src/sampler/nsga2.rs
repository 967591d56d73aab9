//! NSGA-II: a genetic algorithm for several objectives.
//!
//! Symbols: N is the size of a population, m the number of objectives, d that of parameters, n that of trials. Trial k
//! belongs to generation `k / N`. The parents of generation g are the N best of the parents of generation g - 1 and of
//! what that generation came to: by the rank of their front, then by crowding distance (Deb, Pratap, Agarwal and
//! Meyarivan 2002, "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE Trans. Evol. Comput. 6). A child
//! has two parents, each the better one of two drawn:
//!
//! - numbers are crossed on their scale by simulated binary crossover (Deb and Agrawal 1995) and changed by polynomial
//!   mutation (Deb and Goyal 1996), bounded as in Deb's own program; whole numbers and steps are rounded to their cells,
//!   and a change moves them by at least one;
//! - options are taken from either parent, and changed to any option;
//! - a parameter that only one parent has comes from that one, and one that neither has is drawn.
//!
//! Trials that miss constraints are behind all others, the less they miss the better ("constrained domination", the same
//! paper, section VI). Trials without losses have no children. The first generation is a Sobol sequence.
//!
//! Nothing is kept: the generations are made again from the history at each proposal, from what is known of them by then.
//!
//! Complexity: O(n (m N + d)).

use luthier_core::config::{bounds, defaults};
use luthier_core::{Distribution, Params, Rng, Sampler, SearchError, Space, Value, View};

use super::several::{Seen, Several};
use super::sobol::Sobol;
use crate::pareto::crowding;

/// The distribution index of crossover: children are near their parents.
const CROSSOVER_INDEX: f64 = 10.0;

/// The distribution index of mutation.
const MUTATION_INDEX: f64 = 20.0;

/// How often two parents are crossed at all.
const CROSSED: f64 = 0.9;

/// Children that are made until one keeps the constraints on parameters and has not been tried.
const CHILDREN: usize = 50;

luthier_core::settings! {
    /// The sampler of NSGA-II.
    ///
    /// ```
    /// use luthier_core::{Direction, Distribution, History, Parameter, Purpose, Sampler, Space, Streams};
    /// use luthier_search::sampler::Nsga2;
    ///
    /// let space = Space::new([Parameter::new("rate", Distribution::log_float(1e-5, 1e-1))])?;
    /// let history = History::new(Direction::Minimize);
    /// let sampler = Nsga2 { population: 50 };
    /// let params = sampler.propose(&history.view(), &space, &mut Streams::new(0).at(Purpose::Sampler, 0))?;
    /// assert!(space.contains(&params));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Nsga2 {
        /// Trials of a generation.
        population: u64 = 20, bounds::AT_LEAST_TWO;
    }
}

impl Default for Nsga2 {
    fn default() -> Self {
        defaults()
    }
}

impl Sampler for Nsga2 {
    fn propose(&self, view: &View<'_>, space: &Space, rng: &mut Rng) -> Result<Params, SearchError> {
        let size = self.population.max(2) as usize;
        let generation = rng.position() / size as u64;
        let several = Several::new(view);
        let parents = if generation == 0 { Vec::new() } else { parents(view, several, size, generation) };
        if parents.len() < 2 {
            return Sobol.propose(view, space, rng);
        }
        let tried: Vec<&Params> = parents.iter().map(|parent| parent.seen.params).collect();
        let mut child = Params::new();
        for _ in 0..CHILDREN {
            let (a, b) = (tournament(&parents, rng), tournament(&parents, rng));
            child = mutated(space, &crossed(space, a, b, rng), rng);
            if space.allows(&child) && !tried.contains(&&child) {
                break;
            }
        }
        Ok(child)
    }
}

/// A parent with its place in the order of preference.
struct Parent<'a> {
    seen: Seen<'a>,
    /// The front, or behind all fronts the place by violation.
    rank: usize,
    crowding: f64,
}

/// The parents of a generation, from the history.
fn parents<'a>(view: &View<'a>, several: Several<'a>, size: usize, generation: u64) -> Vec<Parent<'a>> {
    // The places of trials in the view, in the order of what is seen of them: those that have ended come first.
    let places =
        |ended: bool| (0_u64..).zip(view.tried()).filter(move |(_, trial)| trial.has_ended() == ended);
    let places = places(true).chain(places(false)).map(|(place, _)| place);
    let mut known: Vec<(u64, Seen<'a>)> =
        places.zip(several.seen).filter(|(_, seen)| seen.losses.is_some()).collect();
    known.sort_by_key(|(place, _)| *place);
    let mut known = known.into_iter().peekable();
    let mut parents: Vec<Parent<'a>> = Vec::new();
    for g in 0..generation {
        let end = (g + 1) * size as u64;
        let mut pool: Vec<Seen<'a>> = parents.into_iter().map(|parent| parent.seen).collect();
        while let Some((_, seen)) = known.next_if(|(place, _)| *place < end) {
            pool.push(seen);
        }
        parents = selected(pool, size);
    }
    parents
}

/// The `size` best, best first.
fn selected(pool: Vec<Seen<'_>>, size: usize) -> Vec<Parent<'_>> {
    let several = Several { seen: pool };
    let mut places: Vec<(usize, f64, usize)> = Vec::new();
    for (rank, front) in several.fronts().into_iter().enumerate() {
        if places.len() >= size {
            break;
        }
        let distances = crowding(&several.losses(&front));
        places.extend(front.into_iter().zip(distances).map(|(i, distance)| (rank, distance, i)));
    }
    places.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)).then(a.2.cmp(&b.2)));
    places.truncate(size);
    let of =
        |(rank, crowding, i): (usize, f64, usize)| Parent { seen: several.seen[i].clone(), rank, crowding };
    places.into_iter().map(of).collect()
}

/// The better one of two that are drawn.
fn tournament<'a>(parents: &[Parent<'a>], rng: &mut Rng) -> &'a Params {
    let (a, b) = (&parents[rng.below(parents.len())], &parents[rng.below(parents.len())]);
    let better = (b.rank, -b.crowding) < (a.rank, -a.crowding);
    if better { b.seen.params } else { a.seen.params }
}

fn crossed(space: &Space, a: &Params, b: &Params, rng: &mut Rng) -> Params {
    let crosses = rng.uniform() < CROSSED;
    space.build(|parameter, _| {
        let distribution = &parameter.distribution;
        let of = |params: &Params| {
            params.get(&parameter.name).filter(|value| distribution.contains(value)).cloned()
        };
        let (a, b) = match (of(a), of(b)) {
            (Some(a), Some(b)) => (a, b),
            (Some(one), None) | (None, Some(one)) => return one,
            (None, None) => return distribution.sample(rng),
        };
        if !crosses {
            return a;
        }
        match (distribution, distribution.to_unit(&a), distribution.to_unit(&b)) {
            (Distribution::Choice { .. }, ..) => {
                if rng.uniform() < 0.5 {
                    a
                } else {
                    b
                }
            }
            (_, Some(x), Some(y)) if x != y && rng.uniform() < 0.5 => {
                distribution.from_unit(binary(x, y, rng))
            }
            _ if rng.uniform() < 0.5 => b,
            _ => a,
        }
    })
}

/// Simulated binary crossover of two different places in `[0, 1]`: one of the two children.
fn binary(x: f64, y: f64, rng: &mut Rng) -> f64 {
    let (low, high) = (x.min(y), x.max(y));
    let exponent = 1.0 / (CROSSOVER_INDEX + 1.0);
    let u = rng.uniform();
    let spread = |room: f64| {
        let beta = 1.0 + 2.0 * room / (high - low);
        let alpha = 2.0 - libm::pow(beta, -(CROSSOVER_INDEX + 1.0));
        if u <= 1.0 / alpha {
            libm::pow(u * alpha, exponent)
        } else {
            libm::pow(1.0 / (2.0 - u * alpha), exponent)
        }
    };
    let child = if rng.uniform() < 0.5 {
        0.5 * (low + high - spread(low) * (high - low))
    } else {
        0.5 * (low + high + spread(1.0 - high) * (high - low))
    };
    child.clamp(0.0, 1.0)
}

/// Changes about one parameter.
fn mutated(space: &Space, params: &Params, rng: &mut Rng) -> Params {
    let share = 1.0 / params.len().max(1) as f64;
    space.build(|parameter, _| {
        let distribution = &parameter.distribution;
        let Some(value) = params.get(&parameter.name) else { return distribution.sample(rng) };
        if rng.uniform() >= share {
            return value.clone();
        }
        match (distribution, distribution.to_unit(value)) {
            (Distribution::Choice { .. }, _) | (_, None) => distribution.sample(rng),
            (_, Some(x)) => {
                let moved = distribution.from_unit(polynomial(x, rng));
                if moved == *value { neighbour(distribution, x, value, rng) } else { moved }
            }
        }
    })
}

/// Polynomial mutation of a place in `[0, 1]`.
fn polynomial(x: f64, rng: &mut Rng) -> f64 {
    let u = rng.uniform();
    let exponent = 1.0 / (MUTATION_INDEX + 1.0);
    let change = if u < 0.5 {
        libm::pow(2.0 * u + (1.0 - 2.0 * u) * libm::pow(1.0 - x, MUTATION_INDEX + 1.0), exponent) - 1.0
    } else {
        1.0 - libm::pow(2.0 * (1.0 - u) + (2.0 * u - 1.0) * libm::pow(x, MUTATION_INDEX + 1.0), exponent)
    };
    (x + change).clamp(0.0, 1.0)
}

/// The next cell on either side, where there are cells.
fn neighbour(distribution: &Distribution, x: f64, value: &Value, rng: &mut Rng) -> Value {
    let sign = if rng.uniform() < 0.5 { -1.0 } else { 1.0 };
    match (distribution, value, distribution.cardinality()) {
        (Distribution::Int { low, high, step, .. }, Value::Int(i), _) => {
            let next = if sign > 0.0 { i.checked_add(*step) } else { i.checked_sub(*step) };
            let next = next.filter(|next| (*low..=*high).contains(next));
            Value::Int(next.unwrap_or(*i))
        }
        (_, _, Some(cells)) => distribution.from_unit(x + sign / cells as f64),
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

    use luthier_core::{Purpose, Streams};

    use super::*;

    fn draws(of: impl Fn(&mut Rng) -> f64) -> Vec<f64> {
        let mut rng = Streams::new(0).at(Purpose::Data, 0);
        (0..20_000).map(|_| of(&mut rng)).collect()
    }

    #[test]
    fn crossover_keeps_the_mean_of_the_parents_and_the_bounds() {
        let children = draws(|rng| binary(0.3, 0.6, rng));
        let mean = children.iter().sum::<f64>() / children.len() as f64;
        assert!((mean - 0.45).abs() < 5e-3, "{mean}");
        assert!(children.iter().all(|x| (0.0..=1.0).contains(x)));
        // Half of the children lie between the parents (beta below 1), as the definition has it.
        let between = children.iter().filter(|x| (0.3..=0.6).contains(*x)).count();
        assert!((between as f64 / 2e4 - 0.5).abs() < 0.02, "{between}");
    }

    #[test]
    fn mutation_is_small_and_keeps_the_bounds() {
        for x in [0.0, 0.2, 1.0] {
            let moved = draws(|rng| polynomial(x, rng));
            assert!(moved.iter().all(|y| (0.0..=1.0).contains(y)));
            let far = moved.iter().map(|y| (y - x).abs()).sum::<f64>() / moved.len() as f64;
            assert!((0.01..0.1).contains(&far), "{far}");
        }
    }
}
