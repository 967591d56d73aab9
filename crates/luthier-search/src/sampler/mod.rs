//! Samplers: what is tried next.

mod auto;
mod belief;
mod cmaes;
mod gp;
mod grid;
mod halton;
mod nsga2;
mod observation;
mod random;
mod several;
mod sobol;
mod tpe;

pub(crate) use gp::linear;
pub(crate) use observation::shares;
pub(crate) use several::Several;
pub(crate) use tpe::log_mass;

pub use auto::Auto;
pub use cmaes::{CmaEs, Restart};
pub use gp::Gp;
pub use grid::Grid;
pub use halton::Halton;
pub use nsga2::Nsga2;
pub use random::Random;
pub use sobol::Sobol;
pub use tpe::Tpe;

/// Points of a sequence as SciPy has them, without scrambling: number, dimension, coordinate.
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where something is missing")]
fn points_of_scipy(sequence: &str) -> Vec<(u64, usize, f64)> {
    let fixture: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/fixtures/quasi_random.json")).unwrap();
    let list = |value: &serde_json::Value| value.as_array().unwrap().clone();
    let dimensions = list(&fixture["dimensions"]);
    let rows = list(&fixture["numbers"]).into_iter().zip(list(&fixture[sequence]));
    rows.flat_map(|(n, row)| {
        let points = dimensions.iter().zip(list(&row));
        let at = |(j, x): (&serde_json::Value, serde_json::Value)| {
            (n.as_u64().unwrap(), j.as_u64().unwrap() as usize, x.as_f64().unwrap())
        };
        points.map(at).collect::<Vec<_>>()
    })
    .collect()
}
