//! What layers do that PyTorch has no number for: padding, dropout, freezing, and messages.

use burn::tensor::Device;
use luthier_core::{Purpose, Streams};

use crate::fixture::setting;
use crate::model::{LayerError, ModelConfig, Network, Pass, Role, Signal, Weights, host, summarize};
use crate::shape::Shape;

const TEXTS: Shape = Shape::Tokens { length: 9, vocabulary: 12 };
const IMAGES: Shape = Shape::Image { channels: 2, height: 6, width: 6 };
const SEQUENCES: Shape = Shape::Sequence { length: 7, features: 4 };

fn model(layers: &str) -> ModelConfig {
    setting(&format!("{{ layers = [{layers}] }}"))
}

fn network(layers: &str, input: Shape) -> Network {
    Network::new(&model(layers), input, 2, 4, &Device::flex().autodiff()).expect("a network")
}

fn ramp(batch: usize, shape: Shape) -> Signal {
    let values = (0..batch * shape.size()).map(|i| ((i * 7919) % 97) as f32 / 97.0 - 0.4).collect();
    Signal::new(values, batch, shape, &Device::flex().autodiff())
}

fn texts(texts: &[&[f32]]) -> Signal {
    let padded = texts.iter().flat_map(|text| text.iter().copied().chain(std::iter::repeat(0.0)).take(9));
    Signal::new(padded.collect(), texts.len(), TEXTS, &Device::flex().autodiff())
}

fn values(signal: Signal) -> Vec<f32> {
    host(match signal {
        Signal::Sequence { values, .. } => values.flatten(1, 2),
        signal => signal.flat(),
    })
}

#[test]
fn padding_changes_nothing() {
    let short: &[f32] = &[3.0, 5.0, 2.0, 7.0];
    let long: &[f32] = &[4.0, 2.0, 9.0, 8.0, 11.0, 3.0, 5.0, 6.0];
    for layers in [
        "{ gru = 5, bidirectional = true, layers = 2 }",
        "{ lstm = 5, output = \"sequence\" }, { global_pool = \"max\" }",
        "{ rnn = 5, output = \"sequence\", bidirectional = true }, { global_pool = \"avg\" }",
        "{ attention = 2 }, { attention = 1, feed_forward = 0 }, { global_pool = \"avg\" }",
        "{ position = \"learned\" }, { dense = 3 }, { global_pool = \"max\" }",
        "{ position = \"sinusoidal\" }, { dense = 3 }, { flatten = true }",
        "{ dense = 4 }, { conv1d = 3, kernel = 3, padding = \"same\" }, { global_pool = \"avg\" }",
        "{ dense = 4 }, { conv1d = 3, kernel = 2, stride = 2 }, { max_pool = 2 }, { global_pool = \"max\" }",
        "{ dense = 4 }, { avg_pool = 3, stride = 1 }, { group_norm = 2 }, { layer_norm = true }, \
         { global_pool = \"avg\" }",
        "{ residual = [{ conv1d = 8, padding = 1 }, { batch_norm = true }] }, { gru = 3 }",
    ] {
        let network = network(&format!("{{ embedding = 8 }}, {layers}"), TEXTS);
        let run = |batch: &[&[f32]]| host(network.forward(texts(batch), &mut Pass::evaluation()));
        let alone = run(&[short]);
        let beside = run(&[long, short]);
        for (one, other) in alone.iter().zip(&beside[2..]) {
            assert!((one - other).abs() < 1e-6, "{layers}: {one} alone, {other} beside a longer text");
        }
        assert!(alone.iter().all(|x| x.is_finite()) && alone[..] != beside[..2], "{layers}");
        // A text without a word, and one shorter than a window, are answered too.
        assert!(run(&[&[], &[3.0]]).iter().all(|x| x.is_finite()), "{layers}");
    }
}

#[test]
fn batch_normalisation_measures_real_steps_only() {
    let network = network("{ embedding = 3 }, { batch_norm = true }, { global_pool = \"avg\" }", TEXTS);
    let measured = |batch: &[&[f32]]| {
        let mut rng = Streams::new(1).at(Purpose::Dropout, 0);
        let mut pass = Pass::training(&mut rng, 1.0);
        network.forward_stages(texts(batch), 0..2, &mut pass);
        pass.running.into_iter().map(|(place, new)| (place, host(new))).collect::<Vec<_>>()
    };
    let (four, five) = (&[2.0, 3.0, 4.0, 5.0], &[6.0, 7.0, 8.0, 9.0, 3.0]);
    // Nine words: in texts of four and five, or of three and six.
    let one = measured(&[four, five]);
    let other = measured(&[&[2.0, 3.0, 4.0], &[5.0, 6.0, 7.0, 8.0, 9.0, 3.0]]);
    assert_eq!(one.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [3, 4]);
    for ((_, one), (_, other)) in one.iter().zip(&other) {
        for (one, other) in one.iter().zip(other) {
            assert!((one - other).abs() < 1e-6, "{one} and {other}");
        }
    }
}

#[test]
fn the_vector_of_padding_stays_zero() {
    use burn::optim::GradientsParams;

    let network = network("{ embedding = 3 }, { global_pool = \"avg\" }", TEXTS);
    let parameter = &network.parameters()[0];
    assert_eq!((parameter.name.as_str(), parameter.role), ("0.weight", Role::Embedding));
    let weights = network.weights();
    assert_eq!(weights[0].values[..3], [0.0; 3]);
    assert!(weights[0].values[3..].iter().all(|x| *x != 0.0));
    let outputs = network.forward(texts(&[&[2.0, 3.0], &[4.0]]), &mut Pass::evaluation());
    let gradients = GradientsParams::from_grads(outputs.sum().backward(), &network);
    let gradient = host(gradients.get::<2>(burn::module::ParamId::from(1)).expect("a gradient"));
    assert_eq!(gradient[..3], [0.0; 3]);
    assert!(gradient[6..15].iter().all(|x| *x != 0.0) && gradient[15..].iter().all(|x| *x == 0.0));
}

#[test]
fn vectors_can_be_given() {
    let network = network("{ embedding = 2 }, { global_pool = \"avg\" }", TEXTS);
    let values: Vec<f32> = (0..24).map(|i| i as f32).collect();
    let vectors = Weights { name: "0.weight".into(), shape: vec![12, 2], values: values.clone() };
    assert_eq!(network.clone().with_tensor(&vectors).expect("vectors").weights()[0].values, values);
    let other = Weights { shape: vec![2, 12], ..vectors };
    assert!(network.with_tensor(&other).expect_err("transposed").contains("[2, 12], expected [12, 2]"));
}

#[test]
fn spatial_dropout_drops_whole_channels() {
    let shape = Shape::Image { channels: 40, height: 3, width: 3 };
    let network = network("{ spatial_dropout = 0.3 }", shape);
    let ones = || Signal::new(vec![1.0; 50 * shape.size()], 50, shape, &Device::flex());
    let mut rng = Streams::new(1).at(Purpose::Dropout, 0);
    let found = values(network.forward_stages(ones(), 0..1, &mut Pass::training(&mut rng, 1.0)));
    let kept = (1.0_f64 / 0.7) as f32;
    assert!(found.chunks(9).all(|channel| channel == [0.0; 9] || channel == [kept; 9]));
    let share = found.iter().filter(|x| **x == 0.0).count() as f64 / found.len() as f64;
    assert!((share - 0.3).abs() < 4.0 * (0.21_f64 / 2000.0).sqrt(), "{share} dropped");
    assert_eq!(values(network.forward_stages(ones(), 0..1, &mut Pass::evaluation())), vec![1.0; 50 * 360]);

    let network = self::network("{ spatial_dropout = 0.5 }, { global_pool = \"avg\" }", SEQUENCES);
    let ones = Signal::new(vec![1.0; 20 * 28], 20, SEQUENCES, &Device::flex());
    let found = values(network.forward_stages(ones, 0..1, &mut Pass::training(&mut rng, 1.0)));
    for steps in found.chunks(28) {
        assert!(steps.chunks(4).all(|step| step == &steps[..4]), "a feature is dropped at all steps");
    }
    assert!(found.contains(&0.0) && found.contains(&2.0));
}

#[test]
fn a_schedule_scales_dropout() {
    let network = network("{ dropout = 0.4 }", Shape::Flat(20_000));
    let ones = || Signal::new(vec![1.0; 20_000], 1, Shape::Flat(20_000), &Device::flex());
    let dropped = |factor: f64| {
        let mut rng = Streams::new(1).at(Purpose::Dropout, 0);
        let found = values(network.forward_stages(ones(), 0..1, &mut Pass::training(&mut rng, factor)));
        found.iter().filter(|x| **x == 0.0).count() as f64 / 20_000.0
    };
    for (factor, rate) in [(0.0, 0.0), (0.5, 0.2), (1.0, 0.4), (10.0, 0.95)] {
        assert!((dropped(factor) - rate).abs() < 0.02, "{} at a factor of {factor}", dropped(factor));
    }
}

#[test]
fn layers_with_dropout_inside_drop_in_training_alone() {
    for layers in [
        "{ lstm = 6, layers = 2, dropout = 0.5 }",
        "{ attention = 2, dropout = 0.5 }, { global_pool = \"avg\" }",
        "{ residual = [{ dropout = 0.5 }] }, { flatten = true }",
    ] {
        let network = network(layers, SEQUENCES);
        let run = |pass: &mut Pass<'_>| host(network.forward(ramp(3, SEQUENCES), pass));
        let training = |position| {
            let mut rng = Streams::new(1).at(Purpose::Dropout, position);
            run(&mut Pass::training(&mut rng, 1.0))
        };
        assert_eq!(training(0), training(0), "{layers}");
        assert_ne!(training(0), training(1), "{layers}");
        assert_ne!(training(0), run(&mut Pass::evaluation()), "{layers}");
        let mut rng = Streams::new(1).at(Purpose::Dropout, 0);
        assert_eq!(run(&mut Pass::training(&mut rng, 0.0)), run(&mut Pass::evaluation()), "{layers}");
    }
}

#[test]
fn frozen_parameters_get_no_gradient_and_frozen_statistics_stay() {
    use burn::optim::GradientsParams;

    let layers = "{ conv = 3, kernel = 3 }, { batch_norm = true }, { dropout = 0.5 }, { conv = 2, kernel = 1 }, \
                  { batch_norm = true }, { flatten = true }, { dropout = 0.5 }";
    let network = network(layers, IMAGES);
    assert_eq!((network.frozen_stages(), network.is_frozen(0), network.stage_count()), (0, false, 8));
    let names: Vec<String> = network.parameters().iter().map(|parameter| parameter.name.clone()).collect();
    let frozen: Vec<bool> = names.iter().map(|name| !name.starts_with('7')).collect();
    let network = network.freeze(&frozen);
    assert!(network.is_frozen(0) && network.is_frozen(1) && !network.is_frozen(2) && !network.is_frozen(7));
    // Up to the dropout before the head; the one between frozen stages is at rest.
    assert_eq!(network.frozen_stages(), 6);
    let mut rng = Streams::new(1).at(Purpose::Dropout, 0);
    let mut pass = Pass::training(&mut rng, 1.0);
    let features = network.forward_stages(ramp(4, IMAGES), 0..6, &mut pass);
    let rested = network.forward_stages(ramp(4, IMAGES), 0..6, &mut Pass::evaluation());
    assert_eq!(values(features.clone()), values(rested));
    assert!(pass.running.is_empty());
    // The features of the base can be kept: what follows goes on from them.
    let head = |signal: Signal, first: usize| {
        let mut rng = Streams::new(1).at(Purpose::Dropout, 1);
        let mut pass = Pass::training(&mut rng, 1.0);
        network.forward_stages(signal, first..8, &mut pass).flat()
    };
    assert_eq!(host(head(features.detach(), 6)), host(head(ramp(4, IMAGES), 0)));
    let loss = network.forward(ramp(4, IMAGES), &mut pass).sum();
    let gradients = GradientsParams::from_grads(loss.backward(), &network);
    assert_eq!(gradients.len(), 2, "weight and bias of the head");
    let thawed = network.freeze(&vec![false; names.len()]);
    assert_eq!((thawed.frozen_stages(), thawed.is_frozen(0)), (0, false));
    let mut pass = Pass::training(&mut rng, 1.0);
    let loss = thawed.forward(ramp(4, IMAGES), &mut pass).sum();
    assert_eq!(pass.running.len(), 4);
    assert_eq!(GradientsParams::from_grads(loss.backward(), &thawed).len(), 10);
}

#[test]
fn running_statistics_come_back_on_the_device_of_the_network() {
    use burn::module::Module;

    let network = network("{ batch_norm = true }", Shape::Flat(3));
    let mut rng = Streams::new(1).at(Purpose::Dropout, 0);
    for _ in 0..3 {
        let mut pass = Pass::training(&mut rng, 1.0);
        network.forward(ramp(5, Shape::Flat(3)), &mut pass);
        let after = network.clone().with_running(pass.running);
        assert_ne!(after.weights()[2], network.weights()[2]);
        assert_eq!(after.weights()[0], network.weights()[0]);
        // Both kinds of network go on from there.
        after.forward(ramp(5, Shape::Flat(3)), &mut Pass::training(&mut rng, 1.0)).sum().backward();
        let plain = after.valid();
        let batch = Signal::new(vec![1.0; 6], 2, Shape::Flat(3), &Device::flex());
        assert!(host(plain.forward(batch, &mut Pass::evaluation())).iter().all(|x| x.is_finite()));
    }
    // One example has no variance: the running statistics are used, and stay.
    let mut pass = Pass::training(&mut rng, 1.0);
    let one = host(network.forward(ramp(1, Shape::Flat(3)), &mut pass));
    assert!(pass.running.is_empty());
    assert_eq!(one, host(network.forward(ramp(1, Shape::Flat(3)), &mut Pass::evaluation())));
}

#[test]
fn what_does_not_fit_says_what_comes_in_and_what_is_needed() {
    for (layers, input, parts) in [
        ("{ conv = 3 }", Shape::Flat(5), &["layer 1 (conv)", "needs images", "vectors of 5"][..]),
        ("{ conv = 3, kernel = 9 }", IMAGES, &["filter of 9x9", "image of 6x6"]),
        ("{ conv = 3, kernel = 3, dilation = 4 }", IMAGES, &["filter of 9x9"]),
        ("{ conv = 4, groups = 3 }", IMAGES, &["3 groups", "2 channels", "4 filters"]),
        ("{ conv = 4, padding = \"same\", stride = 2 }", IMAGES, &["needs a stride of 1, found 2"]),
        ("{ conv1d = 3 }", IMAGES, &["needs sequences", "images [2, 6, 6]"]),
        ("{ conv1d = 3, kernel = 8 }", SEQUENCES, &["filter of 8", "sequence of 7"]),
        ("{ max_pool = 2, padding = 2 }", IMAGES, &["at most half a window of 2, found 2"]),
        ("{ max_pool = 2 }", Shape::Flat(5), &["pooling needs images", "vectors of 5"]),
        ("{ global_pool = \"avg\" }", Shape::Flat(5), &["images or sequences", "vectors of 5"]),
        ("{ group_norm = 3 }", IMAGES, &["3 groups", "2 channels"]),
        ("{ embedding = 3 }", SEQUENCES, &["needs texts", "sequences [7, 4]"]),
        ("{ lstm = 3 }", IMAGES, &["needs sequences", "images [2, 6, 6]", "{ rows = true }"]),
        ("{ gru = 3 }", TEXTS, &["needs sequences", "{ embedding = 64 }"]),
        ("{ dense = 3 }", TEXTS, &["needs numbers", "{ embedding = 64 }"]),
        ("{ activation = \"relu\" }", TEXTS, &["needs numbers"]),
        ("{ attention = 3 }", SEQUENCES, &["3 heads", "4 features"]),
        ("{ attention = 3 }", Shape::Flat(6), &["needs sequences", "vectors of 6"]),
        ("{ position = \"learned\" }", Shape::Flat(6), &["of sequences", "vectors of 6"]),
        ("{ rows = true }", SEQUENCES, &["of images", "sequences [7, 4]"]),
        ("{ spatial_dropout = 0.1 }", Shape::Flat(6), &["images or sequences", "vectors of 6"]),
        ("{ residual = [{ dense = 3 }, { conv = 3 }] }", Shape::Flat(6), &["layer 2 (conv)", "vectors of 3"]),
        ("{ residual = [{ conv = 3, kernel = 4 }] }", IMAGES, &["images [3, 3, 3]", "padding"][..1]),
        ("{ residual = [{ flatten = true }] }", IMAGES, &["no projection", "vectors of 72"]),
        ("{ lstm = 3, output = \"sequence\" }", SEQUENCES, &["layer 2 (output)", "global_pool", "\"last\""]),
        ("", TEXTS, &["layer 1 (output)", "one vector"]),
        ("{ dense = 16777216 }, { dense = 16777216 }", SEQUENCES, &["layer 2", "at most 2147483648"]),
        (
            "{ conv = 65536, kernel = 1024, padding = 1024 }, { conv = 65536, kernel = 1024 }",
            IMAGES,
            &["at most"],
        ),
    ] {
        let error: LayerError = match summarize(&model(layers), input, 2) {
            Err(error) => error,
            Ok(stages) if parts == ["images [3, 3, 3]"] => {
                // A stride of two leads to the same size.
                assert_eq!(stages[0].shape.to_string(), "[3, 3, 3]");
                continue;
            }
            Ok(_) => panic!("{layers} is built"),
        };
        for part in parts {
            assert!(
                error.to_string().contains(part),
                "{part:?} is not in {:?} of {layers}",
                error.to_string()
            );
        }
    }
}

#[test]
fn a_summary_counts_weights_and_operations() {
    let layers = "{ conv = 3, kernel = 3, bias = false }, { batch_norm = true }, { flatten = true }";
    let stages = summarize(&model(layers), IMAGES, 5).expect("a network");
    let found: Vec<(&str, usize, u64)> =
        stages.iter().map(|stage| (stage.name.as_str(), stage.weights, stage.flops)).collect();
    let expected = [("0", 54, 2 * 54 * 16), ("1", 6, 0), ("2", 0, 0), ("3", 48 * 5 + 5, 2 * 48 * 5)];
    assert_eq!(found, expected);
    let stages = summarize(&model("{ lstm = 5, bidirectional = true }"), SEQUENCES, 2).expect("a network");
    assert_eq!(stages[0].weights, 2 * (4 * 5 * (4 + 5) + 2 * 20));
    assert_eq!(stages[0].flops, 2 * 7 * 2 * 20 * 9);
    assert_eq!((stages[0].layer.as_str(), &stages[0].torch), ("lstm 5, bidirectional", &None));
    let stages = summarize(&model("{ residual = [{ dense = 7 }] }"), Shape::Flat(3), 1).expect("a network");
    assert_eq!((stages[0].weights, stages[0].flops), (2 * (3 * 7 + 7), 2 * 2 * 21));
}

#[test]
fn settings_that_resemble_a_kind_do_not_hide_it() {
    for layers in [
        "{ layers = 2, lstm = 4 }",
        "{ lstm = 4, layers = 2, output = \"last\", init = \"orthogonal\" }",
        "{ groups = 2, conv1d = 4 }, { norm_first = false, attention = 2 }, { global_pool = \"max\" }",
    ] {
        network(layers, SEQUENCES);
    }
}
