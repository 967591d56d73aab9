//! Plans against Burn's graph: the same outputs, gradients and statistics, whatever the threads.

use burn::tensor::Device;
use luthier_core::{Purpose, Streams};

use super::Plan;
use crate::fixture::setting;
use crate::model::{ModelConfig, Network, Pass, Signal, backward, host};
use crate::optimizer::gradients::read_gradients;
use crate::shape::Shape;

const IMAGES: Shape = Shape::Image { channels: 3, height: 12, width: 12 };
const TEXTS: Shape = Shape::Tokens { length: 9, vocabulary: 12 };

/// Models with the shape of their examples: each kernel, alone and beside others.
fn models() -> Vec<(&'static str, Shape)> {
    let layers = [
        ("{ dense = 16, activation = \"relu\" }", Shape::Flat(10)),
        (
            "{ dense = 16, activation = \"gelu\" }, { dropout = 0.3 }, { dense = 7, bias = false }",
            Shape::Flat(10),
        ),
        ("{ dense = 8, activation = \"tanh\" }, { dropout = 0.2 }, { batch_norm = true }", Shape::Flat(5)),
        ("{ activation = \"silu\" }, { dense = 4, activation = \"mish\" }", Shape::Flat(6)),
        (
            "{ dense = 9, activation = { kind = \"elu\", alpha = 0.7 } }, { dense = 9, activation = \"softplus\" }",
            Shape::Flat(6),
        ),
        (
            "{ dense = 9, activation = \"leaky_relu\" }, { dense = 9, activation = \"sigmoid\" }",
            Shape::Flat(6),
        ),
        (
            "{ conv = 8, kernel = 5, activation = \"relu\" }, { max_pool = 2 }, { conv = 16, kernel = 3, padding = \"same\", activation = \"relu\" }, { max_pool = 2 }, { dense = 20, activation = \"relu\" }",
            IMAGES,
        ),
        (
            "{ conv = 8, bias = false }, { batch_norm = true }, { activation = \"relu\" }, { spatial_dropout = 0.2 }, { avg_pool = 2 }, { dropout = 0.3 }",
            IMAGES,
        ),
        (
            "{ conv = 6, stride = 2, padding = 1, groups = 3 }, { conv = 6, groups = 6, padding = 1 }, { conv = 5, kernel = 1 }, { global_pool = \"avg\" }",
            IMAGES,
        ),
        (
            "{ conv = 4, dilation = 2 }, { max_pool = 3, stride = 2, padding = 1 }, { global_pool = \"max\" }",
            IMAGES,
        ),
        (
            "{ residual = [{ conv = 3, padding = 1 }, { batch_norm = true }, { dropout = 0.1 }], activation = \"relu\" }, { residual = [{ conv = 8, padding = 1, stride = 2 }], activation = \"gelu\" }, { global_pool = \"avg\" }",
            IMAGES,
        ),
        (
            "{ conv = 32, padding = 1, activation = \"relu\" }, { conv = 32, padding = 1, activation = \"relu\" }, { global_pool = \"avg\" }",
            Shape::Image { channels: 32, height: 8, width: 8 },
        ),
        ("{ embedding = 6 }, { dropout = 0.2 }, { lstm = 5 }, { dropout = 0.3 }", TEXTS),
        (
            "{ embedding = 6 }, { gru = 5, bidirectional = true, layers = 2, dropout = 0.2, output = \"sequence\" }, { global_pool = \"max\" }",
            TEXTS,
        ),
        (
            "{ embedding = 6 }, { dense = 4, activation = \"tanh\" }, { rnn = 5, output = \"sequence\" }, { global_pool = \"avg\" }",
            TEXTS,
        ),
    ];
    layers.to_vec()
}

fn named() -> Vec<(&'static str, Shape)> {
    let small = Shape::Image { channels: 3, height: 32, width: 32 };
    vec![
        ("{ kind = \"vgg11_bn\", width = 0.125 }", small),
        ("{ kind = \"resnet18\", width = 0.25 }", Shape::Image { channels: 3, height: 64, width: 64 }),
        ("{ kind = \"lstm_text\", embedding = 8, units = 8, dropout = 0.2 }", TEXTS),
        ("\"mlp\"", Shape::Flat(10)),
        ("\"cnn\"", IMAGES),
    ]
}

fn configs() -> Vec<(ModelConfig, Shape)> {
    let listed = models().into_iter().map(|(layers, shape)| (format!("{{ layers = [{layers}] }}"), shape));
    let named = named().into_iter().map(|(model, shape)| (format!("{{ architecture = {model} }}"), shape));
    listed.chain(named).map(|(text, shape)| (setting(&text), shape)).collect()
}

fn inputs(batch: usize, shape: Shape) -> Vec<f32> {
    (0..batch * shape.size())
        .map(|i| match shape {
            // Texts of several lengths, one of them empty.
            Shape::Tokens { length, vocabulary } => {
                let (text, place) = (i / length, i % length);
                if place < (text * 3) % (length + 1) {
                    (1 + (i * 7919) % (vocabulary - 1)) as f32
                } else {
                    0.0
                }
            }
            _ => ((i * 7919) % 997) as f32 / 499.0 - 1.0,
        })
        .collect()
}

/// What a pass comes to: outputs, gradients of all that has one, and statistics.
struct Came {
    outputs: Vec<f32>,
    gradients: Vec<Vec<f32>>,
    running: Vec<(usize, Vec<f32>)>,
}

fn by_outputs(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 31) % 17) as f32 / 17.0 - 0.4).collect()
}

fn by_plan(network: &Network, inputs: &[f32], batch: usize, training: bool) -> Came {
    let mut plan = Plan::of(network, 0, network.input()).expect("a plan");
    let mut running = Vec::new();
    let mut rng = Streams::new(7).at(Purpose::Dropout, 3);
    let mut pass = if training { Pass::training(&mut rng, 1.0) } else { Pass::evaluation() };
    let outputs = plan.forward(inputs, batch, &mut pass, &mut running).to_vec();
    plan.backward(inputs, batch, by_outputs(outputs.len()));
    Came { outputs, gradients: plan.take_gradients(), running }
}

fn by_graph(network: &Network, inputs: &[f32], batch: usize, training: bool) -> Came {
    let device = Device::flex().autodiff();
    let mut rng = Streams::new(7).at(Purpose::Dropout, 3);
    let mut pass = if training { Pass::training(&mut rng, 1.0) } else { Pass::evaluation() };
    let signal = Signal::new(inputs.to_vec(), batch, network.input(), &device);
    let outputs = network.forward(signal, &mut pass);
    let running = pass.running.drain(..).map(|(place, values)| (place, host(values))).collect();
    let on_host = host(outputs.clone().inner());
    let graph = backward(outputs, by_outputs(on_host.len()));
    let gradients = read_gradients(network, &graph);
    let gradients = gradients.into_iter().map(|it| it.map(host).unwrap_or_default()).collect();
    Came { outputs: on_host, gradients, running }
}

/// The largest difference as a share of the largest number.
fn off(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    let worst = found.iter().zip(expected).map(|(x, y)| (x - y).abs());
    worst.fold(0.0, |worst, off| if off <= worst { worst } else { off }) / largest.max(1e-6)
}

fn assert_alike(found: &Came, expected: &Came, network: &Network, what: &str) {
    // Many layers of batch normalisation of a few examples make much of the last digits.
    let tolerance = if network.summary().len() > 10 { 1e-4 } else { 1e-5 };
    let compare = |found: &[f32], expected: &[f32], name: &str| {
        let off = off(found, expected);
        assert!(off <= tolerance, "{what}: {name} is {off:e} off");
    };
    compare(&found.outputs, &expected.outputs, "the output");
    // Where a gradient is a sum that comes to nothing, as of a bias before batch normalisation, its digits say
    // nothing: they are measured by the largest gradient of all.
    let all = |came: &Came| came.gradients.iter().flatten().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    let largest = all(expected);
    for ((found, expected), parameter) in
        found.gradients.iter().zip(&expected.gradients).zip(network.parameters())
    {
        assert_eq!(found.len(), expected.len(), "{what}: {}", parameter.name);
        let own = expected.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
        let off = off(found, expected) * own.max(1e-6) / own.max(0.1 * largest);
        assert!(off <= tolerance, "{what}: the gradient of {} is {off:e} off", parameter.name);
    }
    assert_eq!(found.running.len(), expected.running.len(), "{what}");
    for ((place, found), (expected_place, expected)) in found.running.iter().zip(&expected.running) {
        assert_eq!(place, expected_place, "{what}");
        compare(found, expected, &network.parameters()[*place].name);
    }
}

#[test]
fn plans_compute_what_the_graph_computes() {
    for (config, shape) in configs() {
        let network = Network::new(&config, shape, 3, 5, &Device::flex().autodiff()).expect("a network");
        for (batch, training) in [(7, true), (4, true), (5, false)] {
            let inputs = inputs(batch, shape);
            let (plan, graph) =
                (by_plan(&network, &inputs, batch, training), by_graph(&network, &inputs, batch, training));
            assert_alike(&plan, &graph, &network, &format!("{config:?}, batch {batch}, training {training}"));
        }
    }
}

#[test]
fn frozen_parts_get_no_gradient_and_act_as_in_evaluation() {
    let layers = "{ conv = 4 }, { batch_norm = true }, { dropout = 0.5 }, { activation = \"relu\" }, { conv = 4 }, \
                  { batch_norm = true }, { dropout = 0.5 }";
    let config: ModelConfig = setting(&format!("{{ layers = [{layers}] }}"));
    for frozen in [6, 8, 1, 2] {
        let network = Network::new(&config, IMAGES, 3, 5, &Device::flex().autodiff()).expect("a network");
        let count = network.parameters().len();
        let network = network.freeze(&(0..count).map(|place| place < frozen).collect::<Vec<_>>());
        let inputs = inputs(6, IMAGES);
        let (plan, graph) = (by_plan(&network, &inputs, 6, true), by_graph(&network, &inputs, 6, true));
        assert_alike(&plan, &graph, &network, &format!("{frozen} parameters frozen"));
        assert!(plan.gradients[0].is_empty() && !plan.gradients[count - 1].is_empty());
    }
}

#[test]
fn threads_change_no_bit_and_buffers_carry_nothing_over() {
    for (config, shape) in configs() {
        let network = Network::new(&config, shape, 3, 5, &Device::flex().autodiff()).expect("a network");
        let mut plan = Plan::of(&network, 0, shape).expect("a plan");
        let mut run = |threads: usize, batch: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let inputs = inputs(batch, shape);
            pool.install(|| {
                let mut rng = Streams::new(7).at(Purpose::Dropout, 3);
                let mut pass = Pass::training(&mut rng, 1.0);
                let outputs = plan.forward(&inputs, batch, &mut pass, &mut Vec::new()).to_vec();
                plan.backward(&inputs, batch, by_outputs(outputs.len()));
                let gradients = plan.take_gradients();
                plan.give(gradients.clone());
                (outputs, gradients)
            })
        };
        let first = run(1, 16);
        run(1, 3);
        for threads in [1, 2, 4] {
            assert!(run(threads, 16) == first, "{config:?} with {threads} threads");
        }
    }
}

#[test]
fn what_has_no_kernel_has_no_plan() {
    let config: ModelConfig =
        setting("{ layers = [{ embedding = 6 }, { attention = 2 }, { global_pool = \"avg\" }] }");
    let network = Network::new(&config, TEXTS, 3, 5, &Device::flex()).expect("a network");
    assert!(Plan::of(&network, 0, TEXTS).is_none());
}

#[test]
fn a_plan_names_its_kernels() {
    let config: ModelConfig = setting(&format!("{{ layers = [{}] }}", models()[6].0));
    let network = Network::new(&config, IMAGES, 3, 5, &Device::flex()).expect("a network");
    let kernels = Plan::of(&network, 0, IMAGES).expect("a plan").kernels();
    assert_eq!(kernels.len(), 7, "{kernels:?}");
    assert!(kernels[0].starts_with("conv 5x5 3 -> 8 by ") && kernels[0].ends_with(" + relu"), "{kernels:?}");
    assert_eq!(kernels[6], "dense 20 -> 3");
}
