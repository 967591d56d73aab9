//! From the section `[model]` to a network with weights from files.

use std::collections::HashMap;
use std::path::Path;

use burn::tensor::Device;
use luthier_core::{Purpose, Streams};

use crate::fixture::setting;
use crate::model::{ModelConfig, Network, Pass, Signal, Weights, host};
use crate::pretrained::{Library, Pattern, PretrainedError, frozen_prefix};
use crate::shape::Shape;
use crate::weights_file::to_bytes;

const TEXT: Shape = Shape::Tokens { length: 4, vocabulary: 5 };

fn build(config: &ModelConfig, input: Shape, seed: u64) -> Network {
    Network::new(config, input, 3, seed, &Device::flex().autodiff()).expect("a network")
}

fn tensor<'a>(network: &'a [Weights], name: &str) -> &'a Weights {
    network.iter().find(|weights| weights.name == name).expect(name)
}

#[test]
fn weights_and_word_vectors_come_from_the_folder_of_the_study() {
    let folder = tempfile::tempdir().expect("a folder");
    let library = Library::new(folder.path());
    let plain: ModelConfig = setting("{ architecture = { kind = \"gru_text\", embedding = 2, units = 3 } }");
    let base = build(&plain, TEXT, 1).weights();
    let bytes = to_bytes(&base, &[], HashMap::new()).expect("a file");
    std::fs::write(folder.path().join("base.safetensors"), bytes).expect("a writable folder");
    std::fs::write(folder.path().join("words.txt"), "film 1 2\nunheard 3 4\n").expect("a writable folder");
    let initialise = |settings: &str, words: &[String]| {
        let config: ModelConfig = setting(&format!(
            "{{ architecture = {{ kind = \"gru_text\", embedding = 2, units = 3 }}, {settings} }}"
        ));
        let network = build(&config, TEXT, 2);
        library.initialise(network, &config, words, &|_, _, _| {}).map(|network| network.weights())
    };
    let own = build(&plain, TEXT, 2).weights();
    for _ in 0..2 {
        let loaded = initialise("weights = \"base.safetensors\"", &[]).expect("weights that fit");
        assert_eq!(loaded, base);
        let words = ["good".to_owned(), "film".to_owned()];
        let loaded = initialise("word_vectors = \"words.txt\"", &words).expect("vectors that fit");
        let (new, old) = (tensor(&loaded, "embedding.weight"), tensor(&own, "embedding.weight"));
        assert_eq!(new.values[6..8], [1.0, 2.0]);
        assert_eq!((&new.values[..6], &new.values[8..]), (&old.values[..6], &old.values[8..]));
        assert_eq!(loaded[1..], own[1..]);
        // What was read is kept.
        std::fs::remove_file(folder.path().join("base.safetensors")).unwrap_or_default();
    }
    let loaded =
        initialise("weights = \"base.safetensors\", new_head = true", &[]).expect("weights that fit");
    assert_eq!(tensor(&loaded, "fc.weight"), tensor(&own, "fc.weight"));
    assert_eq!(tensor(&loaded, "gru.weight_hh_l0"), tensor(&base, "gru.weight_hh_l0"));
    let error = initialise("word_vectors = \"words.txt\"", &[]).expect_err("no texts").to_string();
    assert!(error.contains("word vectors are for data of texts"), "{error}");
    let error = initialise("word_vectors = \"nothing.txt\"", &["film".to_owned()]).expect_err("no file");
    assert!(matches!(error, PretrainedError::Data(_)), "{error}");
}

#[test]
fn word_vectors_of_another_size_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("words.txt"), "film 1 2 3\n").expect("a writable folder");
    let load = |settings: &str, input: Shape| {
        let config: ModelConfig = setting(&format!("{{ {settings}, word_vectors = \"words.txt\" }}"));
        let network = build(&config, input, 2);
        let library = Library::new(folder.path());
        library.initialise(network, &config, &["film".to_owned()], &|_, _, _| {})
    };
    let error =
        load("architecture = { kind = \"cnn_text\", embedding = 2 }", TEXT).expect_err("another size");
    assert!(
        error.to_string().ends_with(
            "the word vectors have 3 numbers and the embedding layer 2; set the size of the embedding to 3"
        ),
        "{error}"
    );
    let error = load("architecture = \"mlp\"", Shape::Flat(2)).expect_err("no embedding").to_string();
    assert!(error.ends_with("word vectors need a model with an embedding layer"), "{error}");
}

#[test]
fn the_features_of_a_frozen_base_can_be_kept() {
    let config: ModelConfig =
        setting("{ architecture = { kind = \"vgg11_bn\", width = 0.05 }, freeze = [\"features\"] }");
    let input = Shape::Image { channels: 3, height: 32, width: 32 };
    let network = build(&config, input, 4);
    let frozen = config.transfer().frozen_at(0, network.parameters());
    let prefix = frozen_prefix(&network, &frozen);
    assert_eq!(network.summary()[prefix].name, "classifier.0");
    let network = network.freeze(&frozen);
    let device = Device::flex().autodiff();
    let images: Vec<f32> = (0..2 * input.size()).map(|i| (i * i % 97) as f32 / 97.0).collect();
    let signal = || Signal::new(images.clone(), 2, input, &device);
    let mut rng = Streams::new(0).at(Purpose::Dropout, 0);
    let mut pass = Pass::training(&mut rng, 1.0);
    let whole = host(network.forward(signal(), &mut pass));
    assert!(pass.running.is_empty(), "a frozen base measures nothing");
    let features = network.forward_stages(signal(), 0..prefix, &mut Pass::evaluation());
    let mut rng = Streams::new(0).at(Purpose::Dropout, 0);
    let rest = prefix..network.stage_count();
    let kept = host(network.forward_stages(features, rest, &mut Pass::training(&mut rng, 1.0)).flat());
    assert_eq!(whole, kept);
}

#[test]
fn a_base_that_was_trained_on_other_classes_is_frozen_under_a_new_head() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("base.safetensors");
    let input = Shape::Image { channels: 1, height: 8, width: 8 };
    let model = "architecture = { kind = \"cnn\", filters = 2, dense = 5 }";
    let plain: ModelConfig = setting(&format!("{{ {model} }}"));
    let base = Network::new(&plain, input, 7, 1, &Device::flex()).expect("a base");
    std::fs::write(&path, to_bytes(&base.weights(), &[], HashMap::new()).expect("a file")).expect("a folder");
    let config: ModelConfig = setting(&format!(
        "{{ {model}, weights = {:?}, new_head = true, freeze = [\"*\"] }}",
        path.display().to_string()
    ));
    // Everything frozen leaves nothing to train.
    Network::new(&config, input, 3, 2, &Device::flex()).expect_err("nothing to train");
    let config = ModelConfig { freeze: vec![Pattern::new("0"), Pattern::new("3")], ..config };
    let network = build(&config, input, 2);
    let library = Library::new(Path::new("elsewhere"));
    let loaded = library.initialise(network, &config, &[], &|_, _, _| {}).expect("weights that fit");
    assert_eq!(loaded.weights()[..6], base.weights()[..6]);
    assert_eq!(loaded.weights()[6].shape, [3, 5]);
}
