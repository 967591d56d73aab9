//! What makes no sense, and the models that are handed over.

use std::path::Path;

use luthier_core::config::Node;
use luthier_core::{Ending, Evaluation, Metrics, Params};
use luthier_train::data::{ClassificationSource, Dataset, Targets};
use luthier_train::{Answer, Device, MEASURED_TIMES, TrainedModel};
use safetensors::{Dtype, tensor::TensorView};

use crate::common::{
    CNN, FakeTrial, MLP, MOMENTUM, classes, evaluate, experiment, images, model, numbers, subset,
};

#[test]
fn what_makes_no_sense_is_infeasible_with_its_reason() {
    let layers = |layers: &str| CNN.replace("{ max_pool = 2 }", layers);
    let loss = |loss: &str| MLP.replace("[train]", &format!("[train]\nloss = \"{loss}\""));
    for (what, sections, data, parts) in [
        (
            "a filter larger than the image",
            layers("{ conv = 4, kernel = 9 }"),
            images(96),
            ["conv", "a filter of 9x9 does not fit an image of 8x8"],
        ),
        (
            "a window larger than the image",
            layers("{ max_pool = 9 }"),
            images(96),
            ["max_pool", "a window of 9x9 does not fit an image of 8x8"],
        ),
        (
            "padding same with a stride",
            layers("{ conv = 4, padding = \"same\", stride = 2 }"),
            images(96),
            ["conv", "padding \"same\" needs a stride of 1, found 2"],
        ),
        (
            "a convolution on a table",
            CNN.to_owned(),
            classes(240, 0.05),
            ["conv", "a convolution needs images [channels, height, width], and here come vectors of 8"],
        ),
        (
            "pooling behind a dense layer",
            MLP.replace("{ dropout = 0.3 }", "{ max_pool = 2 }"),
            classes(240, 0.05),
            ["max_pool", "vectors of 16"],
        ),
        (
            "two classes' loss on three",
            loss("binary_cross_entropy"),
            classes(240, 0.05),
            ["binary cross-entropy is for two classes", "the data has 3"],
        ),
        ("mse on classes", loss("mse"), classes(240, 0.05), ["mse is for numbers", "use \"cross_entropy\""]),
        (
            "cross-entropy on numbers",
            loss("cross_entropy"),
            numbers(120),
            ["cross_entropy is for classes", "use \"mse\""],
        ),
    ] {
        let evaluation = evaluate(&experiment(&sections, data, "val_loss"), &mut FakeTrial::default());
        let Evaluation::Infeasible(reason) = evaluation else { panic!("{what}: {evaluation:?}") };
        for part in parts {
            assert!(reason.contains(part), "{what}: {part:?} is not in {reason:?}");
        }
    }
}

#[test]
fn the_model_handed_over_is_that_of_the_best_epoch() {
    for (sections, data, objective) in [
        (MLP, classes(160, 0.3), "val_loss"),
        (MOMENTUM, numbers(120), "val_rmse"),
        (CNN, images(96), "val_accuracy"),
        (&MLP.replace("[train]", "[train]\nloss = \"binary_cross_entropy\""), two_classes(), "val_loss"),
    ] {
        let experiment = experiment(sections, data, objective);
        let mut trial = FakeTrial::default();
        let evaluation = evaluate(&experiment, &mut trial);
        let model = model(&evaluation);
        let Evaluation::Complete { value, step: Some(step), ending: Ending::Full, .. } = evaluation else {
            panic!("{evaluation:?}")
        };
        assert_eq!((step, value), trial.reports[step as usize - 1]);
        assert_eq!(trial.reports.len(), 6);
        let (inputs, targets) = subset(experiment.dataset(), &experiment.split().validation);
        let reported = &trial.metrics[step as usize - 1];
        assert_eq!(*model.metrics(), without_times(reported));
        let found = model.evaluate(&inputs, &targets).expect("in memory").metrics;
        let of_validation: Vec<(&str, f64)> =
            reported.iter().filter_map(|(name, value)| Some((name.strip_prefix("val_")?, value))).collect();
        assert!(of_validation.len() >= 2);
        for (name, expected) in of_validation {
            let found = found.get(name).expect("the metric");
            assert!((found - expected).abs() <= 1e-12, "{objective}: {name} is {found}, expected {expected}");
        }
        let objective = objective.strip_prefix("val_").expect("a metric of validation");
        assert!((found.get(objective).expect("the objective") - value).abs() <= 1e-12);
    }
}

fn without_times(metrics: &Metrics) -> Metrics {
    metrics.iter().filter(|(name, _)| !MEASURED_TIMES.contains(name)).collect()
}

fn two_classes() -> Dataset {
    ClassificationSource { samples: 120, features: 8, informative: 4, ..Default::default() }
        .generate()
        .expect("data")
}

#[test]
fn a_model_survives_its_file() {
    for (sections, data, objective) in [
        (MLP, classes(160, 0.1), "val_loss"),
        (MOMENTUM, numbers(120), "val_r2"),
        (CNN, images(96), "val_accuracy"),
    ] {
        let experiment = experiment(sections, data, objective);
        let first = model(&evaluate(&experiment, &mut FakeTrial { seed: 3, ..FakeTrial::default() }));
        let bytes = first.to_bytes().expect("bytes");
        let second = TrainedModel::from_bytes(&bytes, Device::flex()).expect("the same model");
        let inputs = &experiment.dataset().inputs;
        assert_eq!(
            first.predict(inputs, &[]).expect("in memory"),
            second.predict(inputs, &[]).expect("in memory")
        );
        assert_eq!(first.predict(inputs, &[]).expect("in memory").len(), experiment.dataset().len());
        assert_eq!(first.file(), second.file());
        assert_eq!(first.metrics(), second.metrics());
        assert!(second.to_bytes().expect("bytes") == bytes);
        let sealed = experiment.test(&bytes, 1).expect("a model").expect("test rows");
        let (inputs, targets) = subset(experiment.dataset(), &experiment.split().test);
        let again = second.evaluate(&inputs, &targets).expect("in memory").metrics;
        assert!(!sealed.is_empty() && sealed.iter().all(|(name, value)| again.get(name) == Some(value)));
    }
}

#[test]
fn the_file_in_a_model_repeats_its_training() {
    let experiment = experiment(MLP, classes(160, 0.1), "val_loss");
    let seed = 1 << 52;
    let model = model(&evaluate(&experiment, &mut FakeTrial { seed, ..FakeTrial::default() }));
    let file = Node::parse(model.file(), "the model's file").expect("TOML");
    let written = file.get("trial").and_then(|trial| trial.get("seed")).and_then(Node::as_value);
    assert_eq!(written.and_then(|value| value.as_i64()), Some(seed as i64));
    assert_eq!(
        file.get("train").map(Node::describe),
        experiment.file(&Params::default(), seed, None).expect("a file").get("train").map(Node::describe)
    );
}

#[test]
fn what_is_no_model_is_refused_with_a_reason() {
    let mut trial = FakeTrial::default();
    let evaluation = evaluate(&experiment(MLP, classes(160, 0.1), "val_loss"), &mut trial);
    let bytes = model(&evaluation).to_bytes().expect("bytes");
    let refused = |bytes: &[u8]| TrainedModel::from_bytes(bytes, Device::flex()).err().expect("no model");
    for length in [0, 1, 7, 8, 9, 100, bytes.len() / 2, bytes.len() - 1] {
        assert!(!refused(&bytes[..length]).is_empty(), "cut to {length}");
    }
    assert!(!refused(b"a text that is somewhat longer than the eight bytes of a length\n").is_empty());
    let weights = [1_u8; 16];
    let view = TensorView::new(Dtype::F32, vec![2, 2], &weights);
    let foreign = safetensors::serialize([("0.weight", view.expect("a tensor"))], None).expect("a file");
    assert_eq!(refused(&foreign), "its metadata has no entry `luthier`");
    let altered = |from: &str, to: &str| {
        let place = bytes.windows(from.len()).position(|part| part == from.as_bytes()).expect("in the file");
        let mut bytes = bytes.clone();
        bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
        refused(&bytes)
    };
    assert_eq!(altered(r#"\"version\":2"#, r#"\"version\":7"#), "it has version 7, expected 2");
    assert!(altered("dense = 16", "dense = 17").contains("0.weight has the shape [16, 8], expected [17, 8]"));
    assert!(altered("cross_entropy", "cross_entrapy").contains("unknown variant `cross_entrapy`"));
    let (name, renamed) = (r#""0.weight":"#, r#""9.weight":"#);
    assert!(altered(name, renamed).contains("0.weight is missing; 9.weight has no place"));
}

#[test]
fn a_model_that_cannot_be_opened_is_called_by_its_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.safetensors");
    let open = || TrainedModel::open(&path, Device::flex()).err().expect("no model").to_string();
    assert!(open().starts_with("cannot read ") && open().contains("model.safetensors"), "{}", open());
    std::fs::write(&path, "text").expect("a file");
    assert!(open().contains("model.safetensors cannot be used as a model: "), "{}", open());
}

/// With `LUTHIER_MODELS=FOLDER`, for each of three models `NAME.safetensors`, its encoded inputs
/// `NAME.csv` and its outputs `NAME.out.csv`, to be compared with those of `load_in_pytorch.py`.
///
/// They predict numbers that are not standardised, so an answer is the network's output itself.
#[test]
#[ignore = "writes files for scripts/train/load_in_pytorch.py"]
fn models_for_pytorch() {
    let folder = std::env::var("LUTHIER_MODELS").expect("a folder in LUTHIER_MODELS");
    let bars = images(96);
    let values = (0..96).map(|i| f64::from(i % 7)).collect();
    let bars = Dataset { targets: Targets::Numbers { values, name: "y".into() }, ..bars };
    for (name, sections, data) in
        [("mlp", MLP, numbers(120)), ("momentum", MOMENTUM, numbers(120)), ("cnn", CNN, bars)]
    {
        let sections = format!("standardize_target = false\n{sections}");
        let experiment = experiment(&sections, data, "val_loss");
        let model = model(&evaluate(&experiment, &mut FakeTrial::default()));
        let inputs = &experiment.dataset().inputs;
        let encoded = model.preprocessor().encode_all(inputs).expect("in memory");
        let width = encoded.len() / experiment.dataset().len();
        let rows: Vec<String> = encoded
            .chunks_exact(width)
            .map(|row| row.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
            .collect();
        let outputs: Vec<String> = model
            .predict(inputs, &[])
            .expect("in memory")
            .into_iter()
            .map(|prediction| match prediction.answer {
                Answer::Number { value } => value.to_string(),
                Answer::Class { .. } => panic!("the target is a number"),
            })
            .collect();
        let write = |ending: &str, content: &[u8]| {
            std::fs::write(Path::new(&folder).join(format!("{name}{ending}")), content).expect("a file");
        };
        write(".safetensors", &model.to_bytes().expect("bytes"));
        write(".csv", format!("{}\n", rows.join("\n")).as_bytes());
        write(".out.csv", format!("{}\n", outputs.join("\n")).as_bytes());
    }
}
