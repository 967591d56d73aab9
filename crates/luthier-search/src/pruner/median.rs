//! The median stopping rule: the 50th percentile.

use super::Percentile;

impl Percentile {
    /// Stops a trial that is behind the median of the complete ones (Golovin et al. 2017, "Google Vizier: a
    /// service for black-box optimization", section 3.2).
    pub fn median() -> Self {
        Self::new(50.0)
    }
}
