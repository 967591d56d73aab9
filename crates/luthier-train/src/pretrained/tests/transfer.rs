//! What is frozen when, and how fast the rest moves.

use super::network;
use crate::fixture::setting;
use crate::pretrained::transfer::frozen_prefix;
use crate::pretrained::{LearningRates, Pattern, Thaw, Transfer, WeightsSource};
use crate::shape::Shape;

const LAYERS: &str = "{ dense = 4, activation = \"relu\" }, { dense = 3 }, { dropout = 0.5 }, { dense = 3 }";

/// Stages: 0 dense, 1 relu, 2 dense, 3 dropout, 4 dense, 5 dense (the head).
fn model() -> crate::model::Network {
    network(LAYERS, Shape::Flat(2), 2)
}

fn transfer(freeze: &str, thaw: &str, rates: &str) -> Transfer {
    Transfer {
        freeze: setting(freeze),
        thaw: setting::<Vec<Thaw>>(thaw),
        learning_rates: setting::<LearningRates>(rates),
        ..Transfer::default()
    }
}

#[test]
fn layers_freeze_and_thaw_in_their_epoch() {
    let model = model();
    let transfer = transfer("[\"0\", \"2.*\"]", "[{ epoch = 2, layers = [\"2\"] }]", "{}");
    transfer.check(model.parameters()).expect("patterns that fit");
    let frozen = |epoch| transfer.frozen_at(epoch, model.parameters());
    assert_eq!(frozen(0), [true, true, true, true, false, false, false, false]);
    assert_eq!(frozen(1), frozen(0));
    assert_eq!(frozen(2), [true, true, false, false, false, false, false, false]);
    assert_eq!(frozen(9), frozen(2));
    assert_eq!((1..4).map(|epoch| transfer.thaws_at(epoch)).collect::<Vec<_>>(), [false, true, false]);
    // Behind the second frozen layer comes dropout, which is drawn anew.
    assert_eq!(frozen_prefix(&model, &frozen(0)), 3);
    assert_eq!(frozen_prefix(&model, &frozen(2)), 2);
    assert_eq!(frozen_prefix(&model, &[false; 8]), 0);
}

#[test]
fn the_last_pattern_that_fits_gives_the_rate() {
    let model = model();
    let transfer = transfer("[]", "[]", "{ \"*\" = 0.5, \"0\" = 0.1, \"*.bias\" = 2 }");
    transfer.check(model.parameters()).expect("patterns that fit");
    assert_eq!(transfer.rates(model.parameters()), [0.1, 2.0, 0.5, 2.0, 0.5, 2.0, 0.5, 2.0]);
    assert_eq!(Transfer::default().rates(model.parameters()), [1.0; 8]);
}

#[test]
fn patterns_that_stand_for_nothing_are_all_told_with_the_nearest_names() {
    let model = model();
    let wrong = transfer(
        "[\"0.wieght\", \"4\"]",
        "[{ epoch = 1, layers = [\"features.*\", \"5\"] }]",
        "{ \"7.*\" = 0.1 }",
    );
    let message = wrong.check(model.parameters()).expect_err("patterns that do not fit");
    for part in [
        "model.freeze: `0.wieght` stands for no parameter; the nearest names are 0.weight",
        "model.thaw: `features.*` stands for no parameter",
        "model.thaw: `5` is not frozen",
        "model.learning_rates: `7.*` stands for no parameter",
    ] {
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
    let all = Transfer { freeze: vec![Pattern::new("*")], ..Transfer::default() };
    let message = all.check(model.parameters()).expect_err("nothing to train");
    assert!(message.contains("nothing is left to train"), "{message}");
}

#[test]
fn sources_of_weights_are_read() {
    assert_eq!(setting::<WeightsSource>("\"imagenet\""), WeightsSource::ImageNet);
    assert_eq!(setting::<WeightsSource>("\"a.pth\""), WeightsSource::File("a.pth".into()));
}
