//! Names of composite and named stages, and that threads change no bit.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use luthier_core::{Purpose, Streams};

use crate::fixture::setting;
use crate::model::builder::Builder;
use crate::model::layers::residual;
use crate::model::{
    Activation, BatchNormLayer, ConvLayer, DenseLayer, GlobalPool, GlobalPoolLayer, Init, ModelConfig,
    Network, Pass, Role, Signal, host,
};
use crate::shape::Shape;

fn conv(filters: usize, kernel: usize, stride: usize, builder: &mut Builder<'_>) -> Result<(), String> {
    ConvLayer { bias: false, ..ConvLayer::new(filters, kernel, stride, kernel / 2) }.build(builder)
}

fn named(name: &str, builder: &mut Builder<'_>, filters: usize, stride: usize) -> Result<(), String> {
    builder.name_next(&format!("conv{name}"));
    conv(filters, 3, stride, builder)?;
    builder.name_next(&format!("bn{name}"));
    BatchNormLayer::new().build(builder)
}

/// The first blocks of a residual network with the names of torchvision.
fn blocks(builder: &mut Builder<'_>) -> Result<(), String> {
    named("1", builder, 4, 1)?;
    for (layer, filters, stride) in [("layer1", 4, 1), ("layer2", 6, 2)] {
        builder.scope(layer, |builder| {
            let before = builder.shape();
            let body = |builder: &mut Builder<'_>| {
                named("1", builder, filters, stride)?;
                builder.activation(Activation::Relu);
                named("2", builder, filters, 1)
            };
            let shortcut = |builder: &mut Builder<'_>, after: Shape| {
                if before == after {
                    return Ok(());
                }
                conv(filters, 1, stride, builder)?;
                BatchNormLayer::new().build(builder)
            };
            residual::build("block", ("", body), ("downsample", shortcut), Activation::Relu, builder)
        })?;
    }
    GlobalPoolLayer { global_pool: GlobalPool::Avg }.build(builder)?;
    builder.name_next("fc");
    DenseLayer::linear(3).build(builder)
}

#[test]
fn stages_can_have_the_names_of_torchvision() {
    let shape = Shape::Image { channels: 2, height: 8, width: 8 };
    let device = Device::flex();
    let mut builder = Builder::new(shape, Init::PyTorch, 1, Some(&device));
    blocks(&mut builder).expect("a network");
    let mut expected = Vec::new();
    let norm = |expected: &mut Vec<String>, name: &str| {
        for part in ["weight", "bias", "running_mean", "running_var"] {
            expected.push(format!("{name}.{part}"));
        }
    };
    for prefix in ["", "layer1.0.", "layer2.0."] {
        for number in ["1", "2"].into_iter().take(if prefix.is_empty() { 1 } else { 2 }) {
            expected.push(format!("{prefix}conv{number}.weight"));
            norm(&mut expected, &format!("{prefix}bn{number}"));
        }
    }
    expected.push("layer2.0.downsample.0.weight".into());
    norm(&mut expected, "layer2.0.downsample.1");
    expected.extend(["fc.weight".to_owned(), "fc.bias".to_owned()]);
    let found: Vec<&str> = builder.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    assert_eq!(found, expected);
    let stages: Vec<&str> = builder.summary.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(stages, ["conv1", "bn1", "layer1.0", "layer2.0", "2", "3", "fc"]);
    let stage = |name: &str| {
        builder.parameters.iter().find(|parameter| parameter.name == name).map(|parameter| parameter.stage)
    };
    assert_eq!((stage("layer2.0.downsample.0.weight"), stage("fc.bias")), (Some(3), Some(6)));
    assert_eq!(builder.summary[3].shape.to_string(), "[6, 4, 4]");
    // No two tensors are drawn alike.
    let network = Network::assembled(builder, shape);
    let weights = network.weights();
    let roles = network.parameters().iter().map(|parameter| parameter.role);
    let drawn: Vec<_> = weights.iter().zip(roles).filter(|(_, role)| *role == Role::Weight).collect();
    for (i, (one, _)) in drawn.iter().enumerate() {
        assert!(drawn[..i].iter().all(|(other, _)| other.values[0] != one.values[0]), "{}", one.name);
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let images = "{ conv = 16, padding = 1 }, { batch_norm = true, epsilon = 1e-3 }, \
                  { residual = [{ conv = 16, padding = \"same\" }, { group_norm = 4 }], activation = \"gelu\" }, \
                  { layer_norm = true }, { spatial_dropout = 0.2 }, { global_pool = \"avg\" }";
    let texts = "{ embedding = 32 }, { position = \"learned\" }, { attention = 4 }, { conv1d = 24, padding = 1 }, \
                 { batch_norm = true }, { lstm = 32, bidirectional = true, layers = 2, dropout = 0.3 }";
    let cases = [
        (images, Shape::Image { channels: 3, height: 40, width: 40 }),
        (texts, Shape::Tokens { length: 60, vocabulary: 50 }),
    ];
    for (layers, shape) in cases {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| {
                let device = Device::flex().autodiff();
                let config: ModelConfig = setting(&format!("{{ layers = [{layers}] }}"));
                let network = Network::new(&config, shape, 3, 1, &device).expect("a network");
                let values = (0..24 * shape.size()).map(|i| (2 + (i * 31) % 47) as f32).collect();
                let batch = Signal::new(values, 24, shape, &device);
                let mut rng = Streams::new(1).at(Purpose::Dropout, 0);
                let mut pass = Pass::training(&mut rng, 1.0);
                let outputs = network.forward(batch, &mut pass);
                let mut bits: Vec<Vec<f32>> = vec![host(outputs.clone().inner())];
                bits.extend(pass.running.into_iter().map(|(_, new)| host(new)));
                let gradients = GradientsParams::from_grads(outputs.sum().backward(), &network);
                let mut reader = Reader { gradients, bits };
                network.visit(&mut reader);
                reader.bits
            })
        };
        assert!(run(1) == run(4), "{layers}");
    }
}

struct Reader {
    gradients: GradientsParams,
    bits: Vec<Vec<f32>>,
}

impl burn::module::ModuleVisitor for Reader {
    fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<burn::tensor::Tensor<D>>) {
        self.bits.extend(self.gradients.get::<D>(param.id).map(host));
    }
}

/// Over hundreds of steps the gradient of an LSTM vanishes. Numbers too small to be normal would make a
/// step of training five times slower.
#[test]
fn gradients_that_vanish_are_zero() {
    let shape = Shape::Tokens { length: 250, vocabulary: 260 };
    let device = Device::flex().autodiff();
    for cell in ["lstm", "gru", "rnn"] {
        let config: ModelConfig =
            setting(&format!("{{ layers = [{{ embedding = 8 }}, {{ {cell} = 16 }}] }}"));
        let network = Network::new(&config, shape, 1, 1, &device).expect("a network");
        // Each step has a token of its own, so the gradient of its vector is that of the step.
        let batch = Signal::new((0..250).map(|i| (i + 2) as f32).collect(), 1, shape, &device);
        let outputs = network.forward(batch, &mut Pass::evaluation());
        let gradients = GradientsParams::from_grads(outputs.sum().backward(), &network);
        let steps = host(gradients.get::<2>(burn::module::ParamId::from(1)).expect("a gradient"));
        assert!(steps[251 * 8..].iter().take(8).all(|x| x.abs() > 1e-6), "{cell}: the last step");
        assert!(steps[2 * 8..12 * 8].iter().all(|x| *x == 0.0), "{cell}: the first steps");
        let subnormal = steps.iter().filter(|x| x.is_subnormal()).count();
        assert!(subnormal < 10, "{cell}: {subnormal} of {} are subnormal", steps.len());
    }
}
