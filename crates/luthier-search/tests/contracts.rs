//! Every algorithm of the registry keeps the contracts of `luthier-core`.

use luthier_core::testing::{pruner_contract, sampler_contract};
use luthier_search::{PRUNERS, SAMPLERS};

#[test]
fn samplers() {
    for entry in SAMPLERS {
        sampler_contract(&*entry.create());
    }
}

#[test]
fn pruners() {
    for entry in PRUNERS {
        pruner_contract(&*entry.create());
    }
}

#[test]
fn names_find_their_algorithm() {
    assert_eq!(SAMPLERS.iter().map(|entry| entry.name).collect::<Vec<_>>(), ["random", "tpe"]);
    assert_eq!(
        PRUNERS.iter().map(|entry| entry.name).collect::<Vec<_>>(),
        ["none", "median", "asha", "asha_stop"]
    );
    assert!(luthier_search::sampler("median").is_none());
    assert!(luthier_search::pruner("median").is_some_and(|pruner| pruner.decides()));
}
