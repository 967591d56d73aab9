//! Pruners: which trials are stopped.

mod asha;
mod median;
mod none;
mod percentile;

pub use asha::Asha;
pub use none::NoPruner;
pub use percentile::Percentile;

/// The smallest finite loss up to `step`; infinite if there is none.
fn best_until(losses: &[(u64, f64)], step: u64) -> f64 {
    let until = losses.iter().take_while(|report| report.0 <= step);
    until.map(|report| report.1).filter(|loss| loss.is_finite()).fold(f64::INFINITY, f64::min)
}
