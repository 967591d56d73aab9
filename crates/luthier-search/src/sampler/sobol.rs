//! Sobol's quasi-random sequence, scrambled.
//!
//! Symbols: n is the number of a trial, j a dimension, `v_jk` its k-th direction number as bits of a fraction. The
//! n-th point has the coordinate `x_j = XOR of v_jk over the bits k that are set in n XOR n/2` (Sobol 1967; in the
//! order of Gray codes, Antonov and Saleev 1979), with the direction numbers of Joe and Kuo 2008. Each coordinate is
//! scrambled as by Owen 1995, "Randomly permuted (t,m,s)-nets and (t,s)-sequences": each bit is flipped or not by a
//! coin that belongs to the bits before it. The coins depend on the study's seed and on j alone, so points keep the
//! evenness of the sequence, and are themselves spread evenly over the cube.
//!
//! A point depends on its number and the seed alone: whichever worker asks, the answer is the same.
//!
//! Complexity: O(d log n) for d dimensions.

mod directions;

use luthier_core::{Params, Rng, Sampler, SearchError, Space, View};

use directions::DIRECTIONS;

/// Bits of a coordinate before it is scrambled.
const BITS: u32 = 32;

/// The stream position of what belongs to the whole study: no trial has this number.
pub(super) const OF_STUDY: u64 = u64::MAX;

/// Sobol's sequence, scrambled: points that fill the space more evenly than random ones, whatever the history.
///
/// Each parameter has a dimension of its own, those that do not exist in a configuration included; from the 257th the
/// dimensions are used once more, scrambled anew.
///
/// ```
/// use luthier_core::{Direction, Distribution, History, Parameter, Purpose, Sampler, Space, Streams};
/// use luthier_search::sampler::Sobol;
///
/// // Of each 2^k trials one half is in each half of a range.
/// let space = Space::new([Parameter::new("units", Distribution::int(0, 1))])?;
/// let history = History::new(Direction::Minimize);
/// let mut ones = 0;
/// for trial in 0..8 {
///     let mut rng = Streams::new(0).at(Purpose::Sampler, trial);
///     ones += Sobol.propose(&history.view(), &space, &mut rng)?["units"].as_i64().unwrap_or(0);
/// }
/// assert_eq!(ones, 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sobol;

impl Sampler for Sobol {
    fn propose(&self, _: &View<'_>, space: &Space, rng: &mut Rng) -> Result<Params, SearchError> {
        let point = scrambled(rng, space.len());
        let mut units = space.iter().zip(point).map(|(parameter, unit)| (&parameter.name, unit));
        Ok(space.build(|parameter, _| {
            // Parameters come in the space's order, inactive ones left out.
            let found = units.find(|(name, _)| **name == parameter.name);
            parameter.distribution.from_unit(found.map_or(0.5, |(_, unit)| unit))
        }))
    }
}

/// The scrambled point of the trial that `rng` belongs to, in `dimensions` coordinates in `[0, 1)`.
pub(super) fn scrambled(rng: &Rng, dimensions: usize) -> Vec<f64> {
    let mut keys = rng.at(OF_STUDY);
    (0..dimensions)
        .map(|j| owen(coordinate(rng.position(), j % (DIRECTIONS.len() + 1)), keys.bits()))
        .collect()
}

/// The coordinate `j` of point `n`, as a fraction of 2^32. The sequence begins anew after 2^32 points.
fn coordinate(n: u64, j: usize) -> u32 {
    let n = n as u32;
    let code = n ^ (n >> 1);
    let used = (BITS - code.leading_zeros()) as usize;
    let directions = directions(j, used);
    (0..used).filter(|k| code >> k & 1 == 1).fold(0, |x, k| x ^ directions[k])
}

/// The first `count` direction numbers of dimension `j`, as fractions of 2^32.
fn directions(j: usize, count: usize) -> Vec<u32> {
    // The first dimension is van der Corput's sequence.
    let (polynomial, first): (u32, &[u32]) = if j == 0 { (1, &[]) } else { DIRECTIONS[j - 1] };
    let degree = first.len();
    let mut odd = Vec::with_capacity(count);
    for k in 0..count {
        let next = match first.get(k) {
            Some(m) => u64::from(*m),
            None if j == 0 => 1,
            // Bratley and Fox 1988, equation 2.
            None => (1..=degree).fold(odd[k - degree], |m, i| {
                if polynomial >> (degree - i) & 1 == 1 { m ^ (odd[k - i] << i) } else { m }
            }),
        };
        odd.push(next);
    }
    odd.iter().zip(1..).map(|(m, k)| (m << (BITS - k)) as u32).collect()
}

/// Owen's scrambling of `x` with the coins of `key`, as a number in `[0, 1)`. The bits behind the 32nd are random.
fn owen(x: u32, key: u64) -> f64 {
    let mut scrambled = 0;
    for bit in (0..BITS).rev() {
        // The bits before this one, behind a 1 that says how many they are.
        let before = (1_u64 << (BITS - 1 - bit)) | (u64::from(x) >> (bit + 1));
        scrambled = (scrambled << 1) | (u64::from(x >> bit & 1) ^ (mix(key, before) >> 63));
    }
    let rest = mix(key, (1 << BITS) | u64::from(x)) >> (BITS + 11);
    ((scrambled << 21) | rest) as f64 / (1_u64 << 53) as f64
}

/// Bits that depend on all bits of both (the finaliser of `SplitMix64`).
pub(super) fn mix(key: u64, x: u64) -> u64 {
    let mut z = key ^ x.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

    use luthier_core::{Purpose, Streams};

    use super::super::points_of_scipy;
    use super::*;

    #[test]
    fn points_are_those_of_scipy() {
        for (n, dimension, x) in points_of_scipy("sobol") {
            let ours = f64::from(coordinate(n, dimension)) / 2_f64.powi(32);
            assert_eq!(ours, x, "point {n}, dimension {dimension}");
        }
    }

    /// Points of any seed, as cells of a grid with 2^bits of them on each axis.
    fn cells(points: u64, bits: u32) -> Vec<Vec<u64>> {
        let cell = |unit: &f64| (unit * f64::from(1 << bits)) as u64;
        let point = |n| scrambled(&Streams::new(5).at(Purpose::Sampler, n), 300);
        (0..points).map(|n| point(n).iter().map(cell).collect()).collect()
    }

    #[test]
    fn scrambling_keeps_every_dimension_even() {
        let cells = cells(256, 8);
        for j in 0..300 {
            let mut seen: Vec<u64> = cells.iter().map(|point| point[j]).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..256).collect::<Vec<_>>(), "dimension {j}");
        }
    }

    #[test]
    fn the_first_two_dimensions_make_a_net() {
        // Of 2^8 points each cell of 2^4 times 2^4 holds one: a (0, 8, 2)-net.
        let mut seen: Vec<u64> = cells(256, 4).iter().map(|point| point[0] * 16 + point[1]).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..256).collect::<Vec<_>>());
    }

    #[test]
    fn seeds_and_dimensions_used_again_are_scrambled_apart() {
        let at = |seed| scrambled(&Streams::new(seed).at(Purpose::Sampler, 3), 257);
        assert_ne!(at(0)[5], at(1)[5]);
        assert_ne!(at(0)[0], at(0)[256]);
    }
}
