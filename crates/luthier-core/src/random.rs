//! Random streams that are addressed, not advanced.
//!
//! Every draw in Luthier comes from a stream named by a seed, a purpose and a position (an epoch, a
//! step, the number of a trial). A stream's bits depend on its name alone, so there is no generator
//! state to save, and no draw depends on what else was drawn before or beside it.
//!
//! The generator is `ChaCha8` (Bernstein 2008), keyed by seed and purpose; the position selects its
//! 64-bit stream number. Functions that turn bits into numbers are written out here with `libm`, so
//! that an update of another crate or another C library changes no result.

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng as _, SeedableRng};

use crate::TrialId;

/// What a stream is for. Each purpose has bits of its own, so drawing more for one leaves the others
/// as they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Initial weights; the position is the number of the layer.
    Init,
    /// The order of the examples; the position is the epoch.
    Order,
    /// Dropout masks; the position is the step.
    Dropout,
    /// Changes to the examples while training; the position is the step.
    Augment,
    /// Batch sizes that are drawn; the position is the step.
    Batch,
    /// The split of the data.
    Split,
    /// Generated data.
    Data,
    /// Proposals of the search; the position is the number of the trial.
    Sampler,
    /// Decisions of the search.
    Pruner,
    /// Which parameters made a difference; the position is the number of a tree.
    Importance,
}

impl Purpose {
    const fn name(self) -> &'static [u8] {
        match self {
            Self::Init => b"init",
            Self::Order => b"order",
            Self::Dropout => b"dropout",
            Self::Augment => b"augment",
            Self::Batch => b"batch",
            Self::Split => b"split",
            Self::Data => b"data",
            Self::Sampler => b"sampler",
            Self::Pruner => b"pruner",
            Self::Importance => b"importance",
        }
    }
}

/// The streams of one seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streams {
    seed: u64,
}

impl Streams {
    /// The streams of `seed`.
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The stream for `purpose` at `position`.
    ///
    /// ```
    /// use luthier_core::{Purpose, Streams};
    /// let streams = Streams::new(7);
    /// let first = streams.at(Purpose::Order, 3).uniform();
    /// assert_eq!(first, streams.at(Purpose::Order, 3).uniform());
    /// assert_ne!(first, streams.at(Purpose::Order, 4).uniform());
    /// assert_ne!(first, streams.at(Purpose::Dropout, 3).uniform());
    /// ```
    pub fn at(&self, purpose: Purpose, position: u64) -> Rng {
        Rng { seed: self.seed, purpose, position, inner: None }
    }
}

impl Streams {
    /// The stream for the decision on a trial's report at `step`: the trial is in the high half of the position,
    /// the step in the low.
    pub fn of_decision(&self, trial: TrialId, step: u64) -> Rng {
        self.at(Purpose::Pruner, (trial.0 << 32) | (step & 0xffff_ffff))
    }
}

/// The seed of a trial's own streams, derived from the study's seed and the trial's number.
///
/// It is below 2^53, so that every program that reads a filled-in study file reads the same number.
pub fn trial_seed(study_seed: u64, trial: u64) -> u64 {
    let mut state = study_seed ^ fnv1a(b"trial");
    state = split_mix(&mut state) ^ trial;
    split_mix(&mut state) >> 11
}

/// A 64-bit fingerprint of bytes (FNV-1a), for comparing what cannot be hostile: a file with itself.
pub fn fingerprint(bytes: &[u8]) -> String {
    format!("{:016x}", fnv1a(bytes))
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// `SplitMix64` (Steele, Lea, Flood 2014): spreads a seed over a key.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A random stream. See [`Streams::at`].
#[derive(Debug)]
pub struct Rng {
    seed: u64,
    purpose: Purpose,
    position: u64,
    /// Nothing before the first draw: of the streams of a step, few are drawn from.
    inner: Option<ChaCha8Rng>,
}

impl Clone for Rng {
    fn clone(&self) -> Self {
        let mut copy = self.at(self.position);
        if let Some(inner) = &self.inner {
            copy.generator().set_word_pos(inner.get_word_pos());
        }
        copy
    }
}

impl Rng {
    fn generator(&mut self) -> &mut ChaCha8Rng {
        self.inner.get_or_insert_with(|| {
            let mut key = [0; 32];
            let mut state = self.seed ^ fnv1a(self.purpose.name());
            for chunk in key.chunks_exact_mut(8) {
                chunk.copy_from_slice(&split_mix(&mut state).to_le_bytes());
            }
            let mut inner = ChaCha8Rng::from_seed(key);
            inner.set_stream(self.position);
            inner
        })
    }

    /// The position of this stream: for proposals the number of the trial.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The stream of the same seed and purpose at another position, from its beginning.
    #[must_use]
    pub fn at(&self, position: u64) -> Self {
        Self { position, inner: None, ..*self }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.generator().next_u64()
    }

    /// A number in `[0, 1)` with 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// A single-precision number in `[0, 1)` with 24 random bits.
    pub fn uniform_f32(&mut self) -> f32 {
        (self.generator().next_u32() >> 8) as f32 * (1.0 / (1_u32 << 24) as f32)
    }

    /// A whole number in `0..n`, each equally likely (Lemire 2019). `n` must be at least 1.
    pub fn below(&mut self, n: usize) -> usize {
        debug_assert!(n > 0, "below(0) has no value to return");
        loop {
            if let Some(number) = part_of(self.bits(), n) {
                return number;
            }
        }
    }

    /// A standard normal number (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.uniform()));
        radius * libm::cos(2.0 * std::f64::consts::PI * self.uniform())
    }

    /// Puts `items` in random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        /// Draws that are asked for at once, which is quicker than one by one and gives the same bits.
        const AT_ONCE: usize = 32;
        let generator = self.generator();
        let mut drawn = [[0; 8]; AT_ONCE];
        // Each draw takes the item at `last` to its place, but for one in a great many, which is drawn in vain.
        let mut last = items.len().saturating_sub(1);
        while last > 0 {
            let drawn = &mut drawn[..last.min(AT_ONCE)];
            generator.fill_bytes(drawn.as_flattened_mut());
            for bits in drawn {
                if let Some(place) = part_of(u64::from_le_bytes(*bits), last + 1) {
                    items.swap(last, place);
                    last -= 1;
                }
            }
        }
    }
}

/// The whole number in `0..n` for some random bits, or nothing if others are to be drawn.
#[inline]
fn part_of(bits: u64, n: usize) -> Option<usize> {
    let n = n as u64;
    let product = u128::from(bits) * u128::from(n);
    // The remainder is below n, and a division takes longer than all the rest.
    let is_even = product as u64 >= n || product as u64 >= n.wrapping_neg() % n;
    is_even.then_some((product >> 64) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_of_the_first_release() {
        // A change here changes every result that a user has kept.
        let mut rng = Streams::new(0).at(Purpose::Init, 0);
        let bits: Vec<u64> = (0..3).map(|_| rng.bits()).collect();
        assert_eq!(bits, FIRST_BITS, "the streams have changed: {bits:#x?}");
        assert_eq!(trial_seed(0, 0), FIRST_SEED);
    }

    const FIRST_BITS: [u64; 3] = [0xf10c_d9f1_cbbe_e6da, 0x2e44_6e65_9b1d_cb9b, 0xb1d8_0ceb_748c_eb98];
    const FIRST_SEED: u64 = 2_815_926_060_756_417;

    #[test]
    fn normal_has_mean_zero_and_variance_one() {
        let mut rng = Streams::new(1).at(Purpose::Data, 0);
        let draws: Vec<f64> = (0..20_000).map(|_| rng.normal()).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let variance = draws.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
    }

    #[test]
    fn below_is_even_and_in_range() {
        let mut rng = Streams::new(2).at(Purpose::Data, 0);
        let mut counts = [0_u32; 7];
        for _ in 0..7_000 {
            counts[rng.below(7)] += 1;
        }
        assert!(counts.iter().all(|n| (850..1_150).contains(n)), "{counts:?}");
    }

    #[test]
    fn shuffle_draws_as_if_one_by_one() {
        for count in [0, 1, 2, 31, 32, 33, 34, 100, 608] {
            for before in 0..3 {
                let mut rng = Streams::new(9).at(Purpose::Order, count as u64);
                for _ in 0..before {
                    rng.uniform_f32();
                }
                let mut other = rng.clone();
                let mut items: Vec<usize> = (0..count).collect();
                let mut expected = items.clone();
                rng.shuffle(&mut items);
                for i in (1..count).rev() {
                    let j = other.below(i + 1);
                    expected.swap(i, j);
                }
                assert_eq!(items, expected);
                assert_eq!(rng.bits(), other.bits(), "as many draws");
            }
        }
    }

    #[test]
    fn shuffle_keeps_every_item() {
        let mut items: Vec<usize> = (0..100).collect();
        Streams::new(3).at(Purpose::Order, 0).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
