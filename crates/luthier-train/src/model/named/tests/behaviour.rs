//! Settings of named models: what they change, and what does not fit.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor, TensorData};

use super::*;
use crate::fixture::singles;
use luthier_core::config::{Decode as _, Node, Problems};
use luthier_core::{Purpose, Streams};

fn summary(architecture: &str, input: Shape) -> Vec<StageSummary> {
    summarize(&config(architecture), input, 10).expect("a model that fits")
}

fn weights(architecture: &str, input: Shape) -> usize {
    summary(architecture, input).iter().map(|stage| stage.weights).sum()
}

fn reason(architecture: &str, input: Shape) -> String {
    summarize(&config(architecture), input, 10).expect_err("a model that does not fit").to_string()
}

#[test]
fn models_at_full_width_have_as_many_weights_as_torchvision_says() {
    let image = Shape::Image { channels: 3, height: 224, width: 224 };
    for (name, expected) in [
        ("vgg11", 132_863_336),
        ("vgg13", 133_047_848),
        ("vgg16", 138_357_544),
        ("vgg19", 143_667_240),
        ("vgg11_bn", 132_868_840),
        ("vgg13_bn", 133_053_736),
        ("vgg16_bn", 138_365_992),
        ("vgg19_bn", 143_678_248),
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
    ] {
        let summary = summarize(&config(&format!("\"{name}\"")), image, 1000).expect(name);
        assert_eq!(summary.iter().map(|stage| stage.weights).sum::<usize>(), expected, "{name}");
    }
    // torchvision's figures for one image, in units of 10^9 multiplications with addition.
    for (name, expected) in [("vgg16", 15.47), ("resnet18", 1.814), ("resnet34", 3.664)] {
        let summary = summarize(&config(&format!("\"{name}\"")), image, 1000).expect(name);
        let flops: u64 = summary.iter().map(|stage| stage.flops).sum();
        assert!((flops as f64 / 2e9 - expected).abs() < 0.01, "{name}: {flops}");
    }
}

#[test]
fn adaptive_pooling_has_the_bins_of_pytorch() {
    // nn.AdaptiveAvgPool2d((3, 4)) of the numbers from 0 to 34 in 5 rows: bins of 2 rows and columns overlap.
    let images = Tensor::<4>::from_data(
        TensorData::new((0..35).map(|i| i as f32).collect(), [1, 1, 5, 7]),
        &Device::flex(),
    );
    let Signal::Image(found) = (AdaptivePool { height: 3, width: 4 }).forward(Signal::Image(images)) else {
        panic!("an image")
    };
    let expected = [4.0, 5.5, 7.5, 9.0, 14.5, 16.0, 18.0, 19.5, 25.0, 26.5, 28.5, 30.0];
    let expected: Value = serde_json::json!(expected);
    assert_eq!(host(found), singles(&expected));
}

#[test]
fn the_gradient_of_adaptive_pooling_is_its_transpose() {
    let device = Device::flex().autodiff();
    let tensor = |name: &str, dims: [usize; 4]| {
        let values = even(name, dims.iter().product()).into_iter().map(|x| x as f32).collect::<Vec<_>>();
        Tensor::<4>::from_data(TensorData::new(values, dims), &device)
    };
    let pool = AdaptivePool { height: 3, width: 4 };
    let pooled = |images: Tensor<4>| match pool.forward(Signal::Image(images)) {
        Signal::Image(pooled) => pooled,
        _ => panic!("an image"),
    };
    let images = tensor("images", [2, 3, 5, 7]).require_grad();
    let (other, weights) = (tensor("other", [2, 3, 5, 7]), tensor("weights", [2, 3, 3, 4]));
    let gradients = (pooled(images.clone()) * weights.clone()).sum().backward();
    let gradient = images.grad(&gradients).expect("a gradient");
    let (there, back) = ((pooled(other.clone()) * weights).sum(), (other.inner() * gradient).sum());
    let (there, back) = (host(there)[0], host(back)[0]);
    assert!((there - back).abs() < 1e-5, "{there} {back}");
}

/// Counts the trained parameters that get a gradient of finite numbers, not all of them 0.
struct Counter<'a> {
    gradients: &'a Gradients,
    moved: usize,
}

impl ModuleVisitor for Counter<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = param.val().grad(self.gradients).map(host);
        let moves =
            |values: &Vec<f32>| values.iter().all(|x| x.is_finite()) && values.iter().any(|x| *x != 0.0);
        self.moved += usize::from(gradient.as_ref().is_some_and(moves));
    }
}

#[test]
fn every_weight_of_every_named_model_gets_a_gradient() {
    let texts = Shape::Tokens { length: 6, vocabulary: 9 };
    for (architecture, input) in [
        ("{ kind = \"mlp\", batch_norm = true, activation = \"tanh\" }", Shape::Flat(6)),
        ("{ kind = \"cnn\", filters = 4, activation = \"tanh\" }", IMAGE),
        ("{ kind = \"vgg11_bn\", width = 0.05 }", IMAGE),
        ("{ kind = \"resnet18\", width = 0.05, stem = \"small\" }", IMAGE),
        ("{ kind = \"lstm_text\", dropout = 0.1 }", texts),
        ("{ kind = \"gru_text\", layers = 2, bidirectional = true }", texts),
        ("{ kind = \"cnn_text\", filters = 3, activation = \"tanh\" }", texts),
        ("{ kind = \"row_rnn\", units = 5 }", IMAGE),
        ("{ kind = \"transformer\", position = \"learned\", activation = \"gelu\" }", texts),
    ] {
        let device = Device::flex().autodiff();
        let network = Network::new(&config(architecture), input, 4, 7, &device).expect(architecture);
        let values = match input {
            Shape::Tokens { length, .. } => (0..4 * length).map(|i| (i % 8 + 1) as f32).collect(),
            _ => even("input", 4 * input.size()).into_iter().map(|x| x as f32).collect(),
        };
        let mut rng = Streams::new(0).at(Purpose::Dropout, 0);
        let outputs =
            network.forward(Signal::new(values, 4, input, &device), &mut Pass::training(&mut rng, 1.0));
        let weights: Vec<f32> = even("weights", 16).into_iter().map(|x| x as f32).collect();
        let weights = Tensor::<2>::from_data(TensorData::new(weights, [4, 4]), &device);
        let gradients = (outputs * weights).sum().backward();
        let mut counter = Counter { gradients: &gradients, moved: 0 };
        network.visit(&mut counter);
        let trained = network.parameters().iter().filter(|parameter| parameter.is_trained()).count();
        assert_eq!(counter.moved, trained, "{architecture}");
    }
}

#[test]
fn initial_weights_are_those_of_torchvision() {
    let network = build("{ kind = \"vgg11\", width = 0.25 }", IMAGE, 10).expect("VGG");
    let spread = |name: &str| {
        let weights = network.weights().into_iter().find(|weights| weights.name == name).expect(name);
        let sum: f64 = weights.values.iter().map(|x| f64::from(*x).powi(2)).sum();
        (sum / weights.values.len() as f64).sqrt()
    };
    // √(2 / (filters · 9)), and 0.01.
    assert!((spread("features.8.weight") - (2.0_f64 / (64.0 * 9.0)).sqrt()).abs() < 1e-3);
    assert!((spread("classifier.0.weight") - 0.01).abs() < 1e-4);
    assert_eq!(spread("classifier.0.bias") + spread("features.8.bias"), 0.0);
    // Where the user says how, that holds.
    let config: ModelConfig =
        setting("{ architecture = { kind = \"vgg11\", width = 0.1 }, init = \"zeros\" }");
    let zeros = Network::new(&config, IMAGE, 10, 7, &Device::flex()).expect("VGG").weights();
    assert!(zeros.iter().all(|weights| weights.values.iter().all(|x| *x == 0.0)));
}

#[test]
fn settings_change_the_model() {
    let flat = Shape::Flat(20);
    assert_eq!(
        weights("{ kind = \"mlp\", units = 8, depth = 3 }", flat),
        20 * 8 + 8 + 2 * (8 * 8 + 8) + 8 * 10 + 10
    );
    let torch = |architecture: &str, input: Shape| -> Vec<String> {
        summary(architecture, input).into_iter().map(|stage| stage.torch.expect("PyTorch's")).collect()
    };
    assert_eq!(
        torch(
            "{ kind = \"mlp\", units = 8, depth = 1, dropout = 0.2, batch_norm = true, activation = \"tanh\" }",
            flat
        ),
        ["nn.Linear(20, 8)", "nn.BatchNorm1d(8)", "nn.Tanh()", "nn.Dropout(0.2)", "nn.Linear(8, 10)"]
    );
    assert_eq!(
        torch(
            "{ kind = \"cnn\", blocks = 1, filters = 4, dense = 6, batch_norm = true, dropout = 0.1 }",
            IMAGE
        ),
        [
            "nn.Conv2d(3, 4, 3, stride=1, padding=\"same\", bias=False)",
            "nn.BatchNorm2d(4)",
            "nn.ReLU()",
            "nn.MaxPool2d(2, stride=2)",
            "nn.Dropout(0.1)",
            "nn.Flatten()",
            "nn.Linear(1024, 6)",
            "nn.ReLU()",
            "nn.Dropout(0.1)",
            "nn.Linear(6, 10)",
        ]
    );
    let two = weights("{ kind = \"cnn\", blocks = 2, convolutions = 2, filters = 4 }", IMAGE);
    let first = 3 * 4 * 9 + 4 + 4 * 4 * 9 + 4;
    assert_eq!(two, first + 4 * 8 * 9 + 8 + 8 * 8 * 9 + 8 + (8 * 64 + 1) * 128 + 129 * 10);
    let text = Shape::Tokens { length: 12, vocabulary: 50 };
    assert_eq!(
        weights("{ kind = \"gru_text\", embedding = 5, units = 6, bidirectional = true }", text),
        250 + 2 * (3 * 6 * (5 + 6) + 6 * 6) + 13 * 10
    );
    assert_eq!(
        weights("{ kind = \"cnn_text\", embedding = 5, filters = 6, kernel = 2, widths = 2 }", text),
        250 + 6 * (5 * 2 + 1) + 6 * (5 * 3 + 1) + 13 * 10
    );
}

#[test]
fn transformers_take_texts_sequences_and_images() {
    let small = "{ kind = \"transformer\", blocks = 2, width = 8, heads = 2, feed_forward = 16 }";
    let block = 4 * (8 * 8 + 8) + 8 * 16 + 16 + 16 * 8 + 8 + 4 * 8;
    let rest = 2 * block + 2 * 8 + 9 * 10;
    assert_eq!(weights(small, Shape::Tokens { length: 12, vocabulary: 50 }), 50 * 8 + rest);
    assert_eq!(weights(small, Shape::Sequence { length: 12, features: 5 }), 6 * 8 + rest);
    assert_eq!(weights(small, IMAGE), 97 * 8 + rest);
    let names: Vec<String> = build(small, IMAGE, 10)
        .expect("a transformer")
        .parameters()
        .iter()
        .map(|parameter| parameter.name.clone())
        .collect();
    for name in
        ["project.weight", "encoder.layers.1.self_attn.in_proj_weight", "encoder.norm.bias", "fc.bias"]
    {
        assert!(names.iter().any(|known| known == name), "{name} is not in {names:?}");
    }
    assert!(reason(small, Shape::Flat(9)).starts_with("transformer: it needs texts, sequences or images"));
    assert!(reason("{ kind = \"transformer\", heads = 3 }", IMAGE).contains("3 heads have to divide"));
}

#[test]
fn models_that_do_not_fit_the_data_say_so() {
    let small = Shape::Image { channels: 1, height: 28, width: 28 };
    let message = reason("\"vgg16\"", small);
    assert_eq!(message, "vgg16: it halves the image five times and needs at least 32x32 pixels, found 28x28");
    assert_eq!(reason("\"resnet18\"", Shape::Flat(5)), "resnet18: it needs images, and here come [5]");
    assert!(reason("\"lstm_text\"", small).starts_with("lstm_text: an embedding needs texts"));
    assert!(reason("\"row_rnn\"", Shape::Flat(5)).starts_with("row_rnn: rows are of images"));
    assert!(reason("{ kind = \"cnn\", blocks = 5 }", small).contains("5 blocks, each of which halves"));
}

#[test]
fn sections_that_contradict_themselves_are_told() {
    let problems = |section: &str| {
        let node = Node::parse(section, "study.toml").expect("TOML");
        let mut problems = Problems::new("study.toml");
        let config = ModelConfig::decode(&node, "model", &mut problems).expect("settings");
        config.check(&node, &mut problems);
        problems.to_string()
    };
    assert_eq!(problems("architecture = \"vgg16\"\nweights = \"imagenet\"\nnew_head = true"), "");
    assert!(problems("architecture = \"mlp\"\nlayers = []").contains("study.toml:2: model.layers"));
    assert!(problems("architecture = \"mlp\"\nnew_head = true").contains("model.new_head"));
    assert!(problems("thaw = [{ epoch = 1, layers = [\"0\"] }]").contains("model.thaw"));
    let frozen: ModelConfig = setting("{ architecture = \"mlp\", freeze = [\"features\"] }");
    let error = summarize(&frozen, Shape::Flat(3), 2).expect_err("a pattern for nothing");
    assert!(error.to_string().starts_with("transfer: model.freeze: `features` stands for no parameter"));
}

#[test]
fn weights_of_imagenet_are_looked_up_by_what_the_settings_make_of_a_model() {
    let name = |architecture: &str| config(architecture).architecture.expect("a name").torchvision_name();
    assert_eq!(name("\"vgg16\""), "vgg16");
    assert_eq!(name("{ kind = \"vgg16\", batch_norm = true }"), "vgg16_bn");
    assert_eq!(name("\"vgg16_bn\""), "vgg16_bn");
    assert_eq!(name("\"resnet34\""), "resnet34");
}
