//! Batch sizes: each kind, what reports change, and what is measured.

use luthier_core::config::{Policy, Template};
use luthier_core::{Direction, Params};

use super::*;
use crate::fixture::{refusal, setting};
use crate::schedule::Reading;

const EXAMPLES: usize = 1_000;

fn size(sizer: &BatchSizer, config: &BatchSizeConfig, step: u64) -> usize {
    sizer.size(config, &Progress::new(step, 10, 100), EXAMPLES, Streams::new(7))
}

fn again(sizer: &BatchSizer) -> BatchSizer {
    serde_json::from_str(&serde_json::to_string(sizer).expect("JSON")).expect("the same")
}

#[test]
fn numbers_and_all_rows_are_what_they_say() {
    let sizer = BatchSizer::default();
    let at = |config: &str| size(&sizer, &setting(config), 0);
    assert_eq!((at("48"), at("\"full\""), at("5000"), at("\"auto\"")), (48, EXAMPLES, EXAMPLES, DEFAULT));
}

#[test]
fn ranges_lead_to_numbers() {
    for (range, value, expected) in [("{ int = [8, 64] }", 24, 24), ("{ choice = [32, 64] }", 64, 64)] {
        let file = Node::parse(&format!("batch_size = {range}"), "file.toml").expect("TOML");
        let template = Template::new(&file, "file.toml", &Policy { allowed: &["batch_size"], refused: &[] })
            .expect("a range");
        let params: Params =
            [("batch_size".to_owned(), luthier_core::Value::Int(value))].into_iter().collect();
        let filled = template.fill(&params).expect("a value");
        let mut problems = Problems::new("file.toml");
        let node = filled.get("batch_size").expect("the key");
        let config = BatchSizeConfig::decode(node, "batch_size", &mut problems);
        assert_eq!(config, Some(BatchSizeConfig::Fixed(expected)));
    }
}

#[test]
fn drawn_sizes_fill_their_range_and_depend_on_seed_and_step_alone() {
    for (config, middle) in [("{ random = [16, 64] }", 40.0), ("{ random = [16, 64], log = true }", 35.0)] {
        let config: BatchSizeConfig = setting(config);
        let sizer = BatchSizer::default();
        let drawn: Vec<usize> = (0..4_000).map(|step| size(&sizer, &config, step)).collect();
        assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&16), Some(&64)));
        let mean = drawn.iter().sum::<usize>() as f64 / 4_000.0;
        assert!((mean - middle).abs() < 1.0, "{mean}");
        assert_eq!(drawn[17], size(&again(&sizer), &config, 17));
        let other = sizer.size(&config, &Progress::new(17, 10, 100), EXAMPLES, Streams::new(8));
        let same = (0..20).filter(|step| {
            sizer.size(&config, &Progress::new(*step, 10, 100), EXAMPLES, Streams::new(8))
                == drawn[*step as usize]
        });
        assert!(same.count() < 10, "another seed draws the same, such as {other}");
    }
}

#[test]
fn sizes_grow_every_so_many_epochs() {
    let config: BatchSizeConfig = setting("{ grow = { factor = 1.5, every = 5, max = 100 }, from = 20 }");
    let sizer = BatchSizer::default();
    let at = |epoch: u64| size(&sizer, &config, epoch * 10);
    assert_eq!([at(0), at(4), at(5), at(10), at(15), at(20), at(99)], [20, 20, 30, 45, 68, 100, 100]);
    let free: BatchSizeConfig = setting("{ grow = { every = 1 } }");
    assert_eq!(size(&sizer, &free, 990), EXAMPLES);
    let small: BatchSizeConfig = setting("{ grow = { every = 1, max = 8 }, from = 16 }");
    assert_eq!(size(&sizer, &small, 50), 16);
}

#[test]
fn sizes_grow_when_a_metric_stalls() {
    let config: BatchSizeConfig = setting(
        "{ grow = { factor = 2, on_plateau = { patience = 1, monitor = \"train_loss\" }, max = 100 }, from = 32 }",
    );
    assert_eq!(config.monitor(), Some("train_loss"));
    let mut sizer = BatchSizer::default();
    let sizes: Vec<usize> = [1.0, 0.5, 0.5, 0.5, 0.4, 0.4, 0.4]
        .iter()
        .map(|value| {
            let reading = |name: &str| {
                (name == "train_loss").then_some(Reading { value: *value, direction: Direction::Minimize })
            };
            sizer.observe_report(&config, &reading);
            sizer = again(&sizer);
            size(&sizer, &config, 0)
        })
        .collect();
    assert_eq!(sizes, [32, 32, 32, 64, 64, 64, 100]);
}

#[test]
fn the_noise_scale_is_found_from_two_batch_sizes() {
    // |G|² = 4 and tr(Σ) = 1200: the norms of batches of 20 and 60 have exactly these expectations.
    let norms = GradientNorms { small: 4.0 + 60.0, big: 4.0 + 20.0, small_size: 20, big_size: 60 };
    let (signal, noise) = norms.estimates().expect("estimates");
    assert!((signal - 4.0).abs() < 1e-9 && (noise - 1_200.0).abs() < 1e-9, "{signal} {noise}");
    assert_eq!(GradientNorms { small_size: 60, ..norms }.estimates(), None);
    assert_eq!(GradientNorms { big: f64::NAN, ..norms }.estimates(), None);
}

#[test]
fn a_size_follows_the_noise_scale() {
    let config: BatchSizeConfig = setting("{ noise_scale = { min = 16, max = 512, every = 5 }, from = 24 }");
    assert!(config.wants_gradients());
    let mut sizer = BatchSizer::default();
    let norms = |signal: f64, noise: f64| GradientNorms {
        small: signal + noise / 10.0,
        big: signal + noise / 40.0,
        small_size: 10,
        big_size: 40,
    };
    let mut after = |signal, noise, reports| {
        for _ in 0..reports {
            sizer.observe_gradient(&config, &norms(signal, noise));
            sizer = again(&sizer);
        }
        (size(&sizer, &config, 0), sizer.noise_scale())
    };
    assert_eq!(after(1.0, 100.0, 4).0, 24);
    let (size, scale) = after(1.0, 100.0, 1);
    assert_eq!(size, 100);
    assert!((scale.expect("an estimate") - 100.0).abs() < 1e-6);
    // It moves towards a new scale, smoothly, and keeps to its bounds.
    let (size, _) = after(1.0, 300.0, 5);
    assert!((150..250).contains(&size), "{size}");
    assert_eq!(after(1.0, 5_000.0, 100).0, 512);
    assert_eq!(after(-1.0, 100.0, 100).0, 512);
    assert_eq!(after(1.0, -100.0, 200).0, 16);
}

#[test]
fn early_stopping_grows_any_size() {
    let config: BatchSizeConfig = setting("32");
    let mut sizer = BatchSizer::default();
    sizer.grow(2.0, 32, 1_000);
    assert_eq!(size(&sizer, &config, 0), 64);
    sizer.grow(2.0, 64, 100);
    assert_eq!(size(&again(&sizer), &config, 0), 100);
    sizer.grow(2.0, 100, 50);
    assert_eq!(size(&sizer, &config, 0), 100);
    sizer.grow(1e9, 100, usize::MAX);
    assert_eq!(size(&sizer, &config, 0), EXAMPLES);
}

#[test]
fn a_measured_size_is_the_smallest_that_is_fast() {
    let curve = [(8, 500.0), (16, 950.0), (32, 1_500.0), (64, 1_900.0), (128, 2_000.0), (256, 2_050.0)]
        .map(|(size, examples_per_second)| Throughput { size, examples_per_second });
    let auto: Auto = luthier_core::config::defaults();
    let choice = auto.choose(&curve, 100_000, 50_000);
    assert_eq!(choice.size, 64);
    assert_eq!(
        choice.reason,
        "batch size 64: 1900 examples/s, 93% of the best speed that was measured, 2050 at 256; at most 50000 are \
         allowed (the training data)"
    );
    // Memory bounds what counts as the best.
    let choice = auto.choose(&curve, 40, 50_000);
    assert_eq!(choice.size, 32);
    assert!(choice.reason.ends_with("at most 40 are allowed (memory)"), "{}", choice.reason);
    let config: BatchSizeConfig = setting("{ auto = { max = 128, reach = 0.97 } }");
    let auto = config.auto().expect("auto");
    let choice = auto.choose(&curve, 100_000, 50_000);
    assert!(choice.size == 128 && choice.reason.ends_with("(its `max`)"), "{}", choice.reason);
    assert_eq!(auto.candidates(100_000, 50_000), [8, 16, 32, 64, 128]);
    assert_eq!(auto.candidates(100, 50_000), [8, 16, 32, 64, 100]);
    assert_eq!(auto.candidates(100, 5), [5]);
    let mut sizer = BatchSizer::default();
    sizer.set_measured(&choice);
    assert_eq!((size(&again(&sizer), &config, 0), sizer.measured()), (128, Some(128)));
    // A curve without a usable point leads to a usual size.
    let broken = [Throughput { size: 8, examples_per_second: f64::NAN }];
    assert_eq!(auto.choose(&broken, 20, 50_000).size, 20);
    assert_eq!(auto.choose(&[], 100, 50_000).size, DEFAULT);
}

#[test]
fn sizes_that_make_no_sense_are_refused() {
    for (config, expected) in [
        ("0", "a whole number of 1 or more"),
        ("-5", "a whole number of 1 or more"),
        ("1.5", "\"full\", \"auto\""),
        ("\"ful\"", "\"full\", \"auto\""),
        ("{ randm = [1, 2] }", "did you mean `random`?"),
        ("{ random = [64, 16] }", "the smaller one first"),
        ("{ random = [0, 16] }", "found    the whole number 0 and the whole number 16"),
        ("{ random = 16 }", "such as [16, 64]"),
        ("{ random = [16, 64], lg = true }", "did you mean `log`?"),
        ("{ grow = { factor = 2 } }", "either `every`"),
        ("{ grow = { every = 2, on_plateau = {} } }", "either `every`"),
        ("{ grow = { every = 2, factor = 1 } }", "a number above 1"),
        ("{ grow = { on_plateau = { patiens = 2 } } }", "did you mean `patience`?"),
        ("{ noise_scale = { min = 64, max = 16 } }", "a `min` of at most `max`"),
        ("{ noise_scale = { smoothing = 1.0 } }", "just below 1"),
        ("{ auto = { reach = 0.0 } }", "a number above 0, at most 1"),
    ] {
        let found = refusal::<BatchSizeConfig>(config);
        assert!(found.contains(expected), "{config}: {found}");
    }
}
