//! Tests of augmentation: against PyTorch where it has the same, and of what must hold of any draw.

use luthier_core::{Purpose, Streams};
use serde_json::Value;

use super::domain::ChannelRange;
use super::*;
use crate::fixture::{assert_within, deviation, doubles, setting, singles, sizes, text};

fn fixture(key: &str) -> Vec<Value> {
    let fixture: Value =
        serde_json::from_str(include_str!("../../tests/fixtures/augment.json")).expect("JSON");
    fixture[key].as_array().expect("a list").clone()
}

/// Images whose pixels are encoded as `(x - mean) / std`.
fn domain(channels: usize, height: usize, width: usize, mean: f32, std: f32) -> Domain {
    let range = ChannelRange { black: -mean / std, white: (1.0 - mean) / std, mean: 0.0 };
    Domain {
        shape: Shape::Image { channels, height, width },
        channels: vec![range; channels],
        numbers: Vec::new(),
    }
}

fn rng(step: u64) -> Rng {
    Streams::new(5).at(Purpose::Augment, step)
}

fn augmentation(settings: &str) -> Augmentation {
    setting(settings)
}

/// A batch of grey images of 8 by 8 pixels in `[0, 1]`, none of them even.
fn batch(count: usize) -> (Batch, Domain) {
    let inputs = (0..count * 64).map(|i| ((i * 37) % 101) as f32 / 101.0).collect();
    (Batch::new(inputs, (0..count).map(|i| i as f32).collect()), domain(1, 8, 8, 0.0, 1.0))
}

fn applied(settings: &str, count: usize, step: u64) -> Batch {
    let (mut batch, domain) = batch(count);
    augmentation(settings).apply(&mut batch, &domain, 1.0, &mut rng(step));
    batch
}

#[test]
fn motions_agree_with_pytorch() {
    for (i, case) in fixture("affine").iter().enumerate() {
        let shape = sizes(&case["shape"]);
        let number = |key: &str| case[key].as_f64().expect("a number");
        let motion = Motion {
            flip: case["flip"].as_bool().expect("a truth value"),
            degrees: number("degrees"),
            zoom: number("zoom"),
            right: number("right"),
            down: number("down"),
        };
        // Standardised pixels move as they do before, if what comes from outside is black.
        for (mean, std) in [(0.0, 1.0), (0.4, 0.25)] {
            let domain = domain(shape[0], shape[1], shape[2], mean, std);
            let mut image: Vec<f32> =
                singles(&case["pixels"]).iter().map(|pixel| (pixel - mean) / std).collect();
            Warp::new(&domain).apply(&motion, &mut image);
            let decoded: Vec<f32> = image.iter().map(|pixel| pixel * std + mean).collect();
            assert_within(deviation(&decoded, &doubles(&case["expected"])), 5e-6, &format!("motion {i}"));
        }
    }
}

#[test]
fn colours_agree_with_pytorch() {
    for case in fixture("colour") {
        let shape = sizes(&case["shape"]);
        let factor = case["factor"].as_f64().expect("a number") as f32;
        for (mean, std) in [(0.0, 1.0), (0.4, 0.25)] {
            let domain = domain(shape[0], shape[1], shape[2], mean, std);
            let mut image: Vec<f32> =
                singles(&case["pixels"]).iter().map(|pixel| (pixel - mean) / std).collect();
            match text(&case["kind"]) {
                "brightness" => colour::brighten(&mut image, &domain, factor),
                _ => colour::contrast(&mut image, &domain, factor),
            }
            let decoded: Vec<f32> = image.iter().map(|pixel| pixel * std + mean).collect();
            assert_within(deviation(&decoded, &doubles(&case["expected"])), 1e-6, text(&case["kind"]));
        }
    }
}

const ALL: &str = "{ flip = 0.5, crop = 2, rotate = 20, translate = 0.1, zoom = 0.2, brightness = 0.3, \
                   contrast = 0.3, erase = { probability = 1.0, fill = \"noise\" }, noise = 0.1, mixup = 0.4, \
                   cutmix = 1.0 }";

#[test]
fn the_same_step_gives_the_same_batch_and_another_step_another() {
    let first = applied(ALL, 6, 3);
    assert_eq!(first, applied(ALL, 6, 3));
    assert_ne!(first, applied(ALL, 6, 4));
}

#[test]
fn nothing_changes_without_settings_or_strength() {
    let (before, domain) = batch(4);
    assert_eq!(applied("{}", 4, 0), before);
    assert!(augmentation("{}").is_none() && !augmentation(ALL).is_none());
    let mut still = before.clone();
    augmentation(ALL).apply(&mut still, &domain, 0.0, &mut rng(0));
    assert_eq!(still, before);
}

#[test]
fn a_strength_weakens_every_magnitude() {
    for settings in
        ["rotate = 40", "translate = 0.3", "zoom = 0.4", "brightness = 0.8", "contrast = 0.8", "noise = 0.5"]
    {
        let change = |strength: f64| {
            let (mut changed, domain) = batch(16);
            let before = changed.clone();
            augmentation(&format!("{{ {settings} }}")).apply(&mut changed, &domain, strength, &mut rng(1));
            changed.inputs.iter().zip(&before.inputs).map(|(a, b)| (a - b).abs()).sum::<f32>()
        };
        assert!(0.0 < change(0.1) && change(0.1) < 0.6 * change(1.0), "{settings}");
    }
}

#[test]
fn a_flip_mirrors_every_row() {
    let (before, _) = batch(3);
    let after = applied("{ flip = 1.0 }", 3, 0);
    for (before, after) in before.inputs.chunks_exact(8).zip(after.inputs.chunks_exact(8)) {
        assert!(before.iter().rev().eq(after), "{before:?} became {after:?}");
    }
    let flipped = applied("{ flip = 0.5 }", 400, 0);
    let (before, _) = batch(400);
    let count =
        before.inputs.chunks_exact(64).zip(flipped.inputs.chunks_exact(64)).filter(|(a, b)| a != b).count();
    assert!((160..240).contains(&count), "{count} of 400 were flipped");
}

#[test]
fn a_crop_shifts_by_whole_pixels_and_fills_with_black() {
    let (before, _) = batch(200);
    let after = applied("{ crop = 2 }", 200, 0);
    let mut seen = std::collections::BTreeSet::new();
    for (before, after) in before.inputs.chunks_exact(64).zip(after.inputs.chunks_exact(64)) {
        let shifted = |right: isize, down: isize| {
            (0..8).flat_map(move |y| (0..8).map(move |x| (x - right, y - down))).map(|(x, y)| {
                let inside = (0..8).contains(&x) && (0..8).contains(&y);
                if inside { before[(y * 8 + x) as usize] } else { 0.0 }
            })
        };
        let found = (-2..=2)
            .flat_map(|right| (-2..=2).map(move |down| (right, down)))
            .find(|(right, down)| shifted(*right, *down).eq(after.iter().copied()));
        seen.insert(found.expect("a shift by at most 2"));
    }
    assert_eq!(seen.len(), 25, "every shift occurs");
}

#[test]
fn erasing_overwrites_one_rectangle_of_the_share_that_is_set() {
    let settings = "{ erase = { probability = 1.0, smallest = 0.1, largest = 0.3, fill = \"black\" } }";
    let (before, _) = batch(200);
    let after = applied(settings, 200, 0);
    let mut total = 0;
    for (before, after) in before.inputs.chunks_exact(64).zip(after.inputs.chunks_exact(64)) {
        let changed: Vec<usize> = (0..64).filter(|i| before[*i] != after[*i]).collect();
        assert!(changed.iter().all(|i| after[*i] == 0.0));
        let rows: Vec<usize> = changed.iter().map(|i| i / 8).collect();
        let columns: Vec<usize> = changed.iter().map(|i| i % 8).collect();
        let span =
            |all: &[usize]| all.iter().max().expect("a change") - all.iter().min().expect("a change") + 1;
        // A pixel that was black already may be missing.
        let area = span(&rows) * span(&columns);
        assert!(changed.len() + 2 >= area, "{changed:?} is no rectangle");
        assert!((4..=24).contains(&area), "{area} pixels");
        total += area;
    }
    assert!((10..=16).contains(&(total / 200)), "{} pixels on average, expected about 13", total / 200);
    let never = applied("{ erase = { probability = 0.0 } }", 5, 0);
    assert_eq!(never, batch(5).0);
}

#[test]
fn erased_pixels_become_what_is_asked_for() {
    let (batch, mut domain) = batch(1);
    domain.channels[0] = ChannelRange { black: -1.0, white: 2.0, mean: 0.25 };
    for (fill, holds) in [
        ("mean", (|x: f32| x == 0.25) as fn(f32) -> bool),
        ("black", |x| x == -1.0),
        ("noise", |x| (-1.0..2.0).contains(&x)),
    ] {
        let mut erased = batch.clone();
        let settings = format!("{{ erase = {{ probability = 1.0, largest = 0.5, fill = \"{fill}\" }} }}");
        augmentation(&settings).apply(&mut erased, &domain, 1.0, &mut rng(0));
        let changed = || erased.inputs.iter().zip(&batch.inputs).filter(|(a, b)| a != b).map(|(a, _)| *a);
        assert!(changed().count() > 1 && changed().all(holds), "{fill}");
    }
}

#[test]
fn mixup_blends_inputs_by_the_share_of_the_targets() {
    let (before, _) = batch(8);
    let after = applied("{ mixup = 0.4 }", 8, 0);
    let mixed = after.mixed.expect("second targets");
    assert_eq!(after.targets, before.targets);
    let mut partners: Vec<usize> = mixed.targets.iter().map(|target| *target as usize).collect();
    for (i, partner) in partners.iter().enumerate() {
        let share = mixed.share[i];
        for x in 0..64 {
            let expected =
                share * before.inputs[i * 64 + x] + (1.0 - share) * before.inputs[partner * 64 + x];
            assert!((after.inputs[i * 64 + x] - expected).abs() < 1e-6);
        }
    }
    partners.sort_unstable();
    assert_eq!(partners, (0..8).collect::<Vec<_>>(), "every example is a partner once");
    assert!(mixed.share.iter().any(|share| *share != mixed.share[0]), "a share for each example");
}

#[test]
fn cutmix_pastes_a_rectangle_and_counts_its_pixels() {
    let (before, _) = batch(64);
    let after = applied("{ cutmix = 1.0 }", 64, 0);
    let mixed = after.mixed.expect("second targets");
    let mut shares = 0.0;
    for (i, (share, partner)) in mixed.share.iter().zip(&mixed.targets).enumerate() {
        let of = |batch: &[f32], i: usize| batch[i * 64..(i + 1) * 64].to_vec();
        let (own, other) = (of(&before.inputs, i), of(&before.inputs, *partner as usize));
        let found = of(&after.inputs, i);
        assert!((0..64).all(|x| found[x] == own[x] || found[x] == other[x]));
        if *partner as usize != i {
            // Where both have the same pixel, it counts as its own.
            let kept = (0..64).filter(|x| found[*x] == own[*x]).count() as f32 / 64.0;
            assert!(kept >= *share && kept - share < 0.05, "{kept} kept, share {share}");
        }
        shares += share;
    }
    assert!((0.45..0.75).contains(&(shares / 64.0)), "{shares}");
}

#[test]
fn beside_each_other_mixup_and_cutmix_share_the_examples() {
    let (before, _) = batch(64);
    let after = applied("{ mixup = 1.0, cutmix = 1.0 }", 64, 1);
    let pasted = (0..64)
        .filter(|i| {
            let partner = after.mixed.as_ref().expect("second targets").targets[*i] as usize;
            (0..64).all(|x| {
                let found = after.inputs[i * 64 + x];
                found == before.inputs[i * 64 + x] || found == before.inputs[partner * 64 + x]
            })
        })
        .count();
    assert!((20..44).contains(&pasted), "{pasted} of 64 were pasted");
}

#[test]
fn noise_leaves_categories_alone() {
    let domain = Domain { shape: Shape::Flat(3), channels: Vec::new(), numbers: vec![true, false, true] };
    let mut batch = Batch::new(vec![0.0; 3_000], vec![0.0; 1_000]);
    augmentation("{ noise = 0.2 }").apply(&mut batch, &domain, 0.5, &mut rng(0));
    let column = |i: usize| batch.inputs.iter().skip(i).step_by(3).copied().collect::<Vec<f32>>();
    assert!(column(1).iter().all(|x| *x == 0.0));
    let variance = column(0).iter().chain(&column(2)).map(|x| x * x).sum::<f32>() / 2_000.0;
    assert!((variance.sqrt() / 0.1 - 1.0).abs() < 0.05, "a deviation of {}", variance.sqrt());
}

#[test]
fn settings_that_do_not_fit_the_data_are_named() {
    let all = augmentation(ALL);
    assert_eq!(all.check(Shape::Image { channels: 1, height: 8, width: 8 }), Ok(()));
    assert_eq!(augmentation("{ noise = 0.1, mixup = 0.2 }").check(Shape::Flat(3)), Ok(()));
    let error = augmentation("{ noise = 0.1, flip = 0.5, cutmix = 1 }").check(Shape::Flat(3));
    assert_eq!(
        error.expect_err("images alone"),
        "`data.augment`: `flip`, `cutmix` cannot be applied to rows of numbers; remove it"
    );
    let error = augmentation("{ mixup = 0.2 }").check(Shape::Tokens { length: 4, vocabulary: 9 });
    assert_eq!(
        error.expect_err("no numbers"),
        "`data.augment`: `mixup` cannot be applied to texts; remove it"
    );
}

#[test]
fn the_domain_of_a_preprocessor_knows_black_white_and_numbers() {
    use crate::data::{
        CategoricalEncoding, ColumnEncoding, ImageEncoding, InputEncoding, NumericEncoding, Preprocessor,
        Scale, TargetEncoding,
    };
    let preprocessor = |inputs: InputEncoding| Preprocessor {
        inputs,
        targets: TargetEncoding::Classes { names: vec!["a".into(), "b".into()] },
        target_name: None,
        notices: Vec::new(),
    };
    let images = ImageEncoding {
        channels: 1,
        height: 2,
        width: 2,
        mean: vec![0.25],
        std: vec![0.5],
        scale: Scale::Standardize,
        resize: false,
    };
    let raw = ImageEncoding { scale: Scale::Normalize, ..images.clone() };
    let range = |images: ImageEncoding| Domain::of(&preprocessor(InputEncoding::Images(images))).channels[0];
    assert_eq!(range(images), ChannelRange { black: -0.5, white: 1.5, mean: 0.0 });
    assert_eq!(range(raw), ChannelRange { black: 0.0, white: 1.0, mean: 0.25 });
    let columns = vec![
        ColumnEncoding::Categorical(CategoricalEncoding {
            name: "town".into(),
            categories: vec!["Bern".into(), "Zug".into()],
            missing: false,
            flag: false,
        }),
        ColumnEncoding::Numeric(NumericEncoding {
            name: "size".into(),
            mean: 0.0,
            std: 1.0,
            fill: 0.0,
            min: 0.0,
            max: 1.0,
            missing: true,
            flag: true,
        }),
    ];
    let table = Domain::of(&preprocessor(InputEncoding::Table { columns, scale: Scale::Standardize }));
    assert_eq!(table.numbers, [false, false, true, false]);
}

#[test]
#[ignore = "a measurement: cargo test --release --workspace --lib -- --ignored --nocapture speed_of"]
#[allow(clippy::print_stdout, reason = "the measurement")]
fn speed_of_moving_digits() {
    let domain = domain(1, 28, 28, 0.13, 0.31);
    let augmentation = augmentation("{ rotate = 10, translate = 0.1, zoom = 0.1, flip = 0.5 }");
    let mut batch = Batch::new(vec![0.5; 784 * 1_000], vec![0.0; 1_000]);
    let started = std::time::Instant::now();
    for step in 0..50 {
        augmentation.apply(&mut batch, &domain, 1.0, &mut rng(step));
    }
    println!("{:.0} images a second", 50_000.0 / started.elapsed().as_secs_f64());
}
