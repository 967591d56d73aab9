//! Which techniques occurred, and which have to.

use std::collections::BTreeSet;

use luthier_train::batch_size::BatchSizeConfig;
use luthier_train::model::{Activation, Architecture, Init, Layer};
use luthier_train::pretrained::LearningRates;
use luthier_train::schedule::{Curve, Schedule};
use luthier_train::stopping::Remedy;
use luthier_train::{GradientClip, Loss, METRICS, OptimizerConfig, TrainingConfig};

/// What occurred in trials that came to a value: `optimizer adam` and the like.
pub(crate) type Seen = BTreeSet<String>;

/// All techniques of a file.
pub(crate) fn seen(config: &TrainingConfig) -> Seen {
    let mut seen = Seen::new();
    let mut add = |what: &str, kind: &str| {
        seen.insert(format!("{what} {kind}"));
    };
    let (data, model, train) = (&config.data, &config.model, &config.train);
    add("optimizer", train.optimizer.kind());
    for (key, schedule) in train.schedule.named() {
        curves(schedule, &mut |kind| add("curve", kind));
        if schedule.curve != Curve::Constant {
            add("schedule", key);
        }
    }
    add(
        "batch size",
        match train.batch_size {
            BatchSizeConfig::Fixed(_) => "fixed",
            BatchSizeConfig::Full => "full",
            BatchSizeConfig::Auto(_) => "auto",
            BatchSizeConfig::Random(_) => "random",
            BatchSizeConfig::Grow(_) => "grow",
            BatchSizeConfig::NoiseScale(_) => "noise_scale",
        },
    );
    if let Some(loss) = &train.loss {
        add("loss", loss.kind());
    }
    for metric in &train.metrics {
        add("metric", &metric.name());
    }
    add("init", model.init.kind());
    for layer in &model.layers {
        layers(layer, &mut add);
    }
    if let Some(architecture) = &model.architecture {
        add("architecture", architecture.kind());
    }
    for penalty in &train.regularize.0 {
        add("penalty", if penalty.react.is_some() { "react" } else { penalty.start.kind() });
    }
    if let Some(clip) = &train.gradient_clip {
        add("clip", clip.kind());
    }
    if let Some(stopping) = &train.early_stopping {
        add("stopping", stopping.nan.kind());
        stopping.first.0.iter().for_each(|remedy| add("remedy", remedy.kind()));
        for (key, is_set) in [
            ("patience", stopping.patience.is_some()),
            ("above", stopping.stop_above.is_some()),
            ("below", stopping.stop_below.is_some()),
            ("time", stopping.time_limit.is_some()),
        ] {
            if is_set {
                add("stopping", key);
            }
        }
    }
    let augment = &data.augment;
    for (key, is_set) in [
        ("train ema", train.ema.is_some()),
        ("train max_norm", train.max_norm.is_some()),
        ("train accumulate", train.accumulate > 1),
        ("model freeze", !model.freeze.is_empty()),
        ("model learning_rates", model.learning_rates != LearningRates::default()),
        ("augment flip", augment.flip > 0.0),
        ("augment crop", augment.crop > 0),
        ("augment rotate", augment.rotate > 0.0),
        ("augment translate", augment.translate > 0.0),
        ("augment zoom", augment.zoom > 0.0),
        ("augment brightness", augment.brightness > 0.0),
        ("augment contrast", augment.contrast > 0.0),
        ("augment erase", augment.erase.is_some()),
        ("augment noise", augment.noise > 0.0),
        ("augment mixup", augment.mixup > 0.0),
        ("augment cutmix", augment.cutmix > 0.0),
    ] {
        if is_set {
            seen.insert(key.to_owned());
        }
    }
    seen
}

fn curves(schedule: &Schedule, add: &mut dyn FnMut(&str)) {
    add(schedule.curve.kind());
    match &schedule.curve {
        Curve::Join(join) => join.parts.iter().for_each(|part| curves(&part.schedule, add)),
        Curve::Product(product) => product.of.iter().for_each(|schedule| curves(schedule, add)),
        _ => {}
    }
}

fn layers(layer: &Layer, add: &mut dyn FnMut(&str, &str)) {
    add("layer", layer.kind());
    let activation = match layer {
        Layer::Dense(layer) => layer.activation,
        Layer::Conv(layer) => layer.activation,
        Layer::Conv1d(layer) => layer.activation,
        Layer::Activation(layer) => layer.activation,
        Layer::Attention(layer) => layer.activation,
        Layer::Residual(layer) => {
            layer.residual.iter().for_each(|layer| layers(layer, add));
            layer.activation
        }
        _ => return,
    };
    add("activation", activation.kind());
}

/// All that has to occur.
pub(crate) fn expected() -> Seen {
    let mut expected = Seen::new();
    let mut add = |what: &str, kinds: &[&str]| {
        expected.extend(kinds.iter().map(|kind| format!("{what} {kind}")));
    };
    add("optimizer", OptimizerConfig::KINDS);
    add("curve", Curve::KINDS);
    add("schedule", &["learning_rate", "batch_size", "weight_decay", "dropout", "augmentation", "penalty"]);
    add("batch size", &["fixed", "full", "auto", "random", "grow", "noise_scale"]);
    add("loss", Loss::KINDS);
    add("init", Init::KINDS);
    add("layer", Layer::KINDS);
    add("activation", Activation::KINDS);
    add("architecture", Architecture::KINDS);
    add("penalty", &["given", "auto", "react"]);
    add("clip", GradientClip::KINDS);
    add("remedy", Remedy::KINDS);
    add("stopping", &["patience", "above", "below", "time", "stop", "ignore"]);
    add("train", &["ema", "max_norm", "accumulate"]);
    add("model", &["freeze", "learning_rates"]);
    let augment = ["flip", "crop", "rotate", "translate", "zoom", "brightness", "contrast"];
    add("augment", &augment);
    add("augment", &["erase", "noise", "mixup", "cutmix"]);
    // `top5` stands for every number.
    let metrics: Vec<&str> = METRICS.iter().map(|entry| entry.name).filter(|name| *name != "top5").collect();
    add("metric", &metrics);
    expected
}
