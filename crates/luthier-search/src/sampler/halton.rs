//! Halton's quasi-random sequence, scrambled.
//!
//! Symbols: n is the number of a trial, `b_j` the j-th prime, `a_k` the digits of n in base b, the lowest first. The
//! n-th point has the coordinate `x_j = sum_k a_k / b_j^(k+1)` (Halton 1960). Neighbouring dimensions of high bases go in
//! step for many points, so each digit is replaced by `f_k a_k + c_k modulo b_j` (random linear scrambling: Matoušek
//! 1998, "On the L2-discrepancy for anchored boxes"), with `f_k` in `1..b_j` and `c_k` in `0..b_j` drawn for the study.
//!
//! A point depends on its number and the seed alone: whichever worker asks, the answer is the same. Unlike Sobol's, the
//! sequence has no lengths that suit it better than others.
//!
//! Complexity: O(d log n) for d dimensions.

use luthier_core::{Params, Rng, Sampler, SearchError, Space, View};

use super::sobol::{OF_STUDY, mix};

/// Halton's sequence, scrambled: points that fill the space more evenly than random ones, whatever the history.
///
/// Each parameter has a dimension of its own, those that do not exist in a configuration included.
///
/// ```
/// use luthier_core::{Direction, Distribution, History, Parameter, Purpose, Sampler, Space, Streams};
/// use luthier_search::sampler::Halton;
///
/// let space = Space::new([Parameter::new("rate", Distribution::log_float(1e-5, 1e-1))])?;
/// let history = History::new(Direction::Minimize);
/// let params = Halton.propose(&history.view(), &space, &mut Streams::new(0).at(Purpose::Sampler, 0))?;
/// assert!(space.contains(&params));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Halton;

impl Sampler for Halton {
    fn propose(&self, _: &View<'_>, space: &Space, rng: &mut Rng) -> Result<Params, SearchError> {
        let mut keys = rng.at(OF_STUDY);
        let point = primes().take(space.len()).map(|base| {
            let key = keys.bits();
            coordinate(rng.position(), base, |k, digit| {
                let factor = 1 + mix(key, 2 * k) % (base - 1);
                (factor * digit + mix(key, 2 * k + 1) % base) % base
            })
        });
        let mut units = space.iter().zip(point).map(|(parameter, unit)| (&parameter.name, unit));
        Ok(space.build(|parameter, _| {
            // Parameters come in the space's order, inactive ones left out.
            let found = units.find(|(name, _)| **name == parameter.name);
            parameter.distribution.from_unit(found.map_or(0.5, |(_, unit)| unit))
        }))
    }
}

/// The coordinate of point `n` in `base`, in `[0, 1)`; `scramble` is given the place of a digit and the digit.
fn coordinate(mut n: u64, base: u64, scramble: impl Fn(u64, u64) -> u64) -> f64 {
    let (mut x, mut share) = (0.0, 1.0 / base as f64);
    let mut k = 0;
    // Until the digits are below what a double can tell apart: zeros are scrambled too.
    while share > 1e-17 {
        x += scramble(k, n % base) as f64 * share;
        n /= base;
        share /= base as f64;
        k += 1;
    }
    // A sum of digits that are all the largest may be rounded up to 1.
    x.min(1.0 - f64::EPSILON / 2.0)
}

fn primes() -> impl Iterator<Item = u64> {
    (2..1 << 32).filter(|n| (2..*n).take_while(|i| i * i <= *n).all(|i| n % i != 0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

    use luthier_core::{Direction, Distribution, History, Parameter, Purpose, Streams};

    use super::super::points_of_scipy;
    use super::*;

    #[test]
    fn points_are_those_of_scipy() {
        let bases: Vec<u64> = primes().take(256).collect();
        for (n, dimension, x) in points_of_scipy("halton") {
            let ours = coordinate(n, bases[dimension], |_, digit| digit);
            assert!((ours - x).abs() < 1e-14, "point {n}, dimension {dimension}");
        }
    }

    #[test]
    fn scrambling_keeps_every_dimension_even() {
        let space =
            Space::new((0..30).map(|j| Parameter::new(format!("x{j}"), Distribution::float(0.0, 1.0))))
                .unwrap();
        let history = History::new(Direction::Minimize);
        let propose = |n| {
            let mut rng = Streams::new(2).at(Purpose::Sampler, n);
            Halton.propose(&history.view(), &space, &mut rng).unwrap()
        };
        for (j, base) in primes().take(30).enumerate() {
            // Of b points in a row one is in each of b cells.
            let cell =
                |n| (propose(n)[&format!("x{j}")].as_f64().unwrap() * base as f64 + 1e-9).floor() as u64;
            let mut seen: Vec<u64> = (0..base).map(cell).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..base).collect::<Vec<_>>(), "base {base}");
        }
    }
}
