//! Random search.

use luthier_core::{Params, Rng, Sampler, SearchError, Space, View};

use super::belief;

/// Draws every parameter by itself, each value equally likely on the range's scale, whatever the history. Where parameters
/// have priors, every other configuration is drawn from those.
///
/// The baseline that every other sampler has to beat (Bergstra and Bengio 2012, "Random search for
/// hyper-parameter optimization", JMLR 13).
///
/// ```
/// use luthier_core::{Direction, Distribution, History, Parameter, Purpose, Sampler, Space, Streams};
/// use luthier_search::sampler::Random;
///
/// let space = Space::new([Parameter::new("units", Distribution::int(8, 64))])?;
/// let history = History::new(Direction::Minimize);
/// let params = Random.propose(&history.view(), &space, &mut Streams::new(0).at(Purpose::Sampler, 0))?;
/// assert!(space.contains(&params));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Random;

impl Sampler for Random {
    fn propose(&self, view: &View<'_>, space: &Space, rng: &mut Rng) -> Result<Params, SearchError> {
        Ok(belief::opening(view, space, rng).unwrap_or_else(|| space.sample(rng)))
    }
}
