//! Spaces, their samples and their constraints.

use super::*;
use crate::{Purpose, Streams, testing};

#[test]
fn samples_and_corners_lie_in_the_space() {
    let space = testing::conditional_space();
    let mut rng = Streams::new(0).at(Purpose::Sampler, 0);
    for _ in 0..200 {
        assert!(space.contains(&space.sample(&mut rng)));
    }
    let corners = space.corners();
    assert!(corners.iter().all(|corner| space.contains(corner)));
    for parameter in space.iter() {
        assert!(corners.iter().any(|corner| corner.contains_key(&parameter.name)), "{}", parameter.name);
    }
}

#[test]
fn constraints_bound_samples_and_corners() {
    let constraint = |text: &str| Constraint::parse(text).unwrap();
    let numbers = ["a", "b"].map(|name| Parameter::new(name, Distribution::float(0.0, 1.0)));
    let free = Space::new(numbers).unwrap();
    let space = free.clone().with_constraints([constraint("a + b <= 0.5"), constraint("a < b")]).unwrap();
    let mut rng = Streams::new(0).at(Purpose::Sampler, 0);
    for _ in 0..100 {
        let params = space.sample(&mut rng);
        assert!(space.contains(&params) && params["a"].as_f64() < params["b"].as_f64(), "{params:?}");
    }
    assert!(free.corners().len() > 3 && space.corners().iter().all(|corner| !space.allows(corner)));
    let refused = |text: &str| free.clone().with_constraints([constraint(text)]).unwrap_err().to_string();
    assert_eq!(refused("a < c"), "the constraint `a < c`: there is no parameter `c`");
    assert_eq!(refused("a < 'x'"), "the constraint `a < 'x'`: expected a number, found x");
}

#[test]
fn an_inactive_parameter_does_not_belong() {
    let space = testing::conditional_space();
    let mut params = space.corners()[0].clone();
    assert_eq!(params.get("optimizer"), Some(&"adam".into()));
    params.insert("momentum".into(), Value::Float(0.5));
    assert!(!space.contains(&params));
}
