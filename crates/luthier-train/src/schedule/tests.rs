//! Schedules against PyTorch, and what PyTorch lacks.

use luthier_core::config::{Decode as _, Node, Policy, Problems, Template};
use luthier_core::{Direction, Metrics, Params, Value};

use super::*;
use crate::fixture::{assert_within, cases, doubles, refusal, setting, text};

/// The values at the beginnings of the epochs of a training of 10 steps each.
fn by_epoch(schedule: &str, base: f64, epochs: u64) -> Vec<f64> {
    let schedule: Schedule = setting(schedule);
    (0..epochs).map(|epoch| schedule.value(base, &Progress::new(epoch * 10, 10, epochs), 1.0)).collect()
}

fn assert_close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    let close = found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12);
    assert!(close, "{found:?}, expected {expected:?}");
}

/// The larger number; NaN if there is one, which `f64::max` would hide.
fn larger(a: f64, b: f64) -> f64 {
    if b <= a { a } else { b }
}

#[test]
fn schedules_are_those_of_pytorch() {
    let fixture: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/fixtures/schedules.json")).expect("a fixture");
    let number = |key: &str| fixture[key].as_u64().expect("a number");
    let (epochs, per_epoch, every) = (number("epochs"), number("steps_per_epoch"), number("every"));
    let rate = fixture["rate"].as_f64().expect("a number");
    for case in cases(&fixture) {
        let schedule: Schedule = setting(text(&case["config"]));
        let expected = doubles(&case["rates"]);
        assert_eq!(expected.len() as u64, (epochs * per_epoch).div_ceil(every));
        let found = (0..epochs * per_epoch)
            .step_by(every as usize)
            .map(|step| schedule.value(rate, &Progress::new(step, per_epoch, epochs), 1.0));
        let off = found.zip(expected).map(|(found, expected)| (found - expected).abs());
        assert_within(off.fold(0.0, larger), 1e-9, text(&case["config"]));
    }
}

#[test]
fn plateaus_are_those_of_pytorch() {
    let fixture: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/fixtures/schedules.json")).expect("a fixture");
    let metric = doubles(&fixture["plateaus"]["metric"]);
    let rate = fixture["rate"].as_f64().expect("a number");
    for case in cases(&fixture["plateaus"]) {
        let plateau: Plateau = setting(text(&case["config"]));
        let curve = Curve::Plateau(plateau);
        let schedules = Schedules { learning_rate: curve.into(), ..Schedules::default() };
        let bases = Bases { learning_rate: rate, batch_size: 1, weight_decay: 0.0 };
        let mut reactions = Reactions::default();
        let mut off = 0.0_f64;
        let expected = doubles(&case["rates"]);
        for (step, value) in metric.iter().enumerate() {
            if step % 7 == 0 {
                let progress = Progress::new(step as u64, 1, 1_000);
                let found = schedules.values(&bases, &progress, &reactions).learning_rate;
                off = larger(off, (found - expected[step / 7]).abs());
            }
            let direction =
                |name: &str| if name == "val_loss" { Direction::Minimize } else { Direction::Maximize };
            let reading = |name: &str| Some(Reading { value: *value, direction: direction(name) });
            reactions.observe(&schedules, &reading);
        }
        assert_within(off, 1e-9, text(&case["config"]));
        assert_ne!(expected.last(), Some(&rate), "this case never reacts");
    }
}

#[test]
fn points_hold_or_are_joined_by_lines() {
    let steps = by_epoch("[[1, 0.1], [3, 0.01]]", 5.0, 5);
    assert_close(&steps, &[0.1, 0.1, 0.1, 0.01, 0.01]);
    let lines = "{ kind = \"points\", points = [[1, 0.1], [3, 0.5]], interpolation = \"linear\" }";
    assert_close(&by_epoch(lines, 5.0, 5), &[0.1, 0.1, 0.3, 0.5, 0.5]);
    let within: Schedule = setting(lines);
    assert_close(&[within.value(1.0, &Progress::new(15, 10, 5), 1.0)], &[0.2]);
}

#[test]
fn scale_clips_and_granularity_go_with_every_curve() {
    let clipped = "{ kind = \"exponential\", factor = 0.5, scale = 2, min = 0.3, max = 1.5 }";
    assert_close(&by_epoch(clipped, 1.0, 4), &[1.5, 1.0, 0.5, 0.3]);
    let middle = |schedule: &str| {
        let schedule: Schedule = setting(schedule);
        schedule.value(1.0, &Progress::new(15, 10, 4), 1.0)
    };
    assert_close(
        &[
            middle("{ kind = \"linear\" }"),
            middle("{ kind = \"linear\", by = \"epoch\" }"),
            middle("{ kind = \"points\", points = [[0, 1], [1.5, 2]], by = \"epoch\" }"),
            middle("[[0, 1], [1.5, 2]]"),
        ],
        &[1.0 - 15.0 / 40.0, 0.75, 1.0, 2.0],
    );
}

#[test]
fn a_warm_up_rises_from_zero_before_any_curve() {
    for curve in
        ["\"constant\"", "\"cosine\"", "\"one_cycle\"", "[[0, 0.25]]", "\"0.25\"", "\"inverse_sqrt\""]
    {
        let mut schedule: Schedule = setting(curve);
        let top = schedule.value(1.0, &Progress::new(0, 10, 10), 1.0);
        schedule.common.warmup_epochs = Some(2.0);
        let rise: Vec<f64> =
            (0..20).map(|step| schedule.value(1.0, &Progress::new(step, 10, 10), 1.0)).collect();
        let expected: Vec<f64> = (1..=20).map(|step| top * f64::from(step) / 20.0).collect();
        assert_close(&rise, &expected);
    }
}

#[test]
fn past_the_horizon_the_last_value_holds() {
    let values = |schedule: &str| -> Vec<f64> {
        let schedule: Schedule = setting(schedule);
        // A run of 4 epochs that was lengthened.
        [39, 40, 45, 500].map(|step| schedule.value(1.0, &Progress::new(step, 10, 4), 1.0)).to_vec()
    };
    for held in [
        "{ kind = \"exponential\", factor = 0.5 }",
        "{ kind = \"step\", every = 2 }",
        "{ kind = \"multi_step\", milestones = [2, 4] }",
        "{ kind = \"cosine_restarts\", period = 2 }",
        "\"one_cycle\"",
        "\"inverse_sqrt\"",
        "[[0, 1], [3.9, 2], [4, 3]]",
        "\"step + epoch + progress\"",
        "{ kind = \"join\", parts = [{ until = 2, schedule = \"constant\" }, { schedule = \"linear\" }] }",
    ] {
        let values = values(held);
        assert!(values[1..].iter().all(|value| *value == values[0]), "{held}: {values:?}");
    }
    // Those that fall towards an end reach it.
    assert_close(&values("{ kind = \"cosine\", end = 0.1 }")[1..], &[0.1; 3]);
    assert_close(&values("{ kind = \"linear\", end = 0.1, horizon = 2 }"), &[0.1; 4]);
    assert_close(&values("{ kind = \"polynomial\", power = 3 }")[1..], &[0.0; 3]);
}

#[test]
fn a_batch_size_that_doubles_does_not_move_a_schedule() {
    let cosine: Schedule = setting("\"cosine\"");
    let before = Progress { step: 500, epoch: 5, ..Progress::new(0, 100, 10) };
    let behind = Progress { steps_per_epoch: 50, ..before };
    assert_eq!(cosine.value(1.0, &before, 1.0), cosine.value(1.0, &behind, 1.0));
    let half_way = Progress { step_in_epoch: 25, ..behind };
    let expected = 0.5 + 0.5 * libm::cos(std::f64::consts::PI * 0.55);
    assert_close(&[cosine.value(1.0, &half_way, 1.0)], &[expected]);
}

#[test]
fn parts_are_joined_and_stretched_over_their_time() {
    let joined = "{ kind = \"join\", scale = 2, parts = [\
        { until = 2, schedule = \"0.5 + epoch\" },\
        { until = 6, schedule = \"linear\" },\
        { schedule = { kind = \"step\", every = 1, factor = 0.5 } }] }";
    assert_close(&by_epoch(joined, 1.0, 8), &[1.0, 3.0, 2.0, 1.5, 1.0, 0.5, 2.0, 1.0]);
    // A part that begins within an epoch.
    let joined: Schedule = setting(
        "{ kind = \"join\", parts = [{ until = 1.1, schedule = \"constant\" }, { schedule = \"step + 5\" }] }",
    );
    let at = |step| joined.value(1.0, &Progress::new(step, 10, 8), 1.0);
    assert_close(&[at(10), at(11), at(12)], &[1.0, 5.0, 6.0]);
}

#[test]
fn formulas_know_the_usual_rules() {
    for (formula, expected) in [
        ("1 + 2 * 3^2 / 2", 10.0),
        ("-2^2", -4.0),
        ("2^-1 ** 2", 0.5),
        ("2^3^2", 512.0),
        ("(1 - -3) % 3", 1.0),
        ("7 - 2 - 1", 4.0),
        ("max(1, 3, 2) - min(4, 2)", 1.0),
        ("if(epoch >= 2, 10, 20) + (step == 25)", 11.0),
        ("if(progress < 0.5, 1, 2)", 2.0),
        ("abs(-1.5) + floor(1.9) + ceil(0.1) + round(2.5)", 6.5),
        ("sqrt(16) + log(e) + log2(8) + log10(1e2) + exp(0) + tanh(0)", 11.0),
        ("sin(pi / 2) + cos(0)", 2.0),
        ("base * .5e1", 10.0),
    ] {
        let schedule: Schedule = setting(&format!("{formula:?}"));
        assert_close(&[schedule.value(2.0, &Progress::new(25, 10, 5), 1.0)], &[expected]);
    }
}

#[test]
fn formulas_take_metrics_and_fall_back_to_the_base() {
    let schedule: Schedule = setting("\"min(0.5, 0.1 * val_loss)\"");
    assert_eq!(schedule.monitors(), ["val_loss"]);
    let metrics: Metrics = [("val_loss", 2.0)].into_iter().collect();
    let with = Progress { metrics: Some(&metrics), ..Progress::new(5, 10, 5) };
    assert_close(&[schedule.value(0.3, &with, 1.0)], &[0.2]);
    assert_eq!(schedule.value(0.3, &Progress::new(0, 10, 5), 1.0), 0.3);
    assert_eq!(by_epoch("\"1 / epoch\"", 0.3, 3), [0.3, 1.0, 0.5]);
    let condition: Schedule = setting("\"if(val_loss < 1, 5, 6)\"");
    assert_eq!(condition.value(0.3, &Progress::new(0, 10, 5), 1.0), 0.3);
}

#[test]
fn errors_in_formulas_name_the_place_and_what_exists() {
    for (formula, expected) in [
        ("0.1 * * 2", "expected a number, a name or `(`\n  found    `*` at character 7"),
        ("0.1 * (2 + 3", "expected an operator or `)`\n  found    the end at character 13"),
        ("2 epoch", "expected an operator or the end\n  found    the name `epoch` at character 3"),
        ("2 * epohc", "did you mean `epoch`?"),
        ("vall_loss", "did you mean `val_loss`?"),
        ("2 & 3", "found    `&` at character 3"),
        ("1.2.3 + 1", "expected a number such as 0.1 or 1e-3\n  found    `1.2.3` at character 1"),
        ("sqr(2)", "did you mean `sqrt`?"),
        ("exp(1, 2)", "expected one argument of `exp`\n  found    2 of them at character 1"),
        ("if(1, 2)", "expected three arguments: `if(condition, then, else)`"),
        ("", "found    the end at character 1"),
        ("1 +", "found    the end at character 4"),
    ] {
        let found = refusal::<Formula>(&format!("{formula:?}"));
        assert!(found.contains(expected), "{formula}: {found}");
    }
    let deep = format!("\"{}1{}\"", "(".repeat(400), ")".repeat(400));
    assert!(refusal::<Formula>(&deep).contains("at most 500 characters"));
}

#[test]
fn misspelt_schedules_are_refused_with_what_was_meant() {
    for (schedule, expected) in [
        ("\"cosin\"", "did you mean \"cosine\"?"),
        ("{ kind = \"one-cycle\" }", "did you mean \"one_cycle\"?"),
        ("\"multi-step\"", "did you mean \"multi_step\"?"),
        ("\"step\"", "value.every"),
        ("\"epoch-foo\"", "found    the name `foo` at character 7"),
        ("{ kind = \"cosine\", warmpu = 0.1 }", "value.warmpu"),
        ("{ kind = \"cosine\", warmpu = 0.1 }", "did you mean `warmup`?"),
        ("{ kind = \"step\", evry = 5 }", "did you mean `every`?"),
        ("{ kind = \"cosine\", warmup = 1.5 }", "expected a number from 0 to just below 1"),
        ("{ kind = \"cosine\", warmup = 0.1, warmup_epochs = 2 }", "either `warmup`"),
        ("{ kind = \"cosine\", min = 2, max = 1 }", "a `min` of at most `max`"),
        ("{ warmup = 0.1 }", "or a table with `kind`"),
        ("0.1", "expected a schedule: a kind by name"),
        ("[]", "at least one point"),
        ("[[5, 0.1], [5, 0.2]]", "epochs that rise"),
        ("[[5, 0.1, 3]]", "expected a point [epoch, value]"),
        ("[5, 0.1]", "found    the whole number 5"),
        ("{ kind = \"points\", points = [[0, 1]], interpolation = \"cubic\" }", "one of step, linear"),
        ("{ kind = \"multi_step\", milestones = [] }", "at least one epoch"),
        (
            "{ kind = \"join\", parts = [{ schedule = \"cosine\" }, { schedule = \"linear\" }] }",
            "with `until`",
        ),
        ("{ kind = \"join\", parts = [{ schedule = \"plateau\" }] }", "reactions to plateaus only outside"),
        ("{ kind = \"plateau\", plateau = { factor = 0.5 } }", "one reaction to plateaus"),
        ("{ kind = \"plateau\", patence = 0.5 }", "did you mean `patience`?"),
        ("{ kind = \"product\", of = [] }", "at least one schedule"),
    ] {
        let found = refusal::<Schedule>(schedule);
        assert!(found.contains(expected), "{schedule}: {found}");
    }
    assert!(refusal::<Schedules>("{ learning_rate = \"tied\" }").contains("not \"tied\""));
    assert!(refusal::<Schedules>("{ learning_rat = \"cosine\" }").contains("did you mean `learning_rate`?"));
}

#[test]
fn all_values_come_from_one_call() {
    let schedules: Schedules = setting(
        "{ learning_rate = { kind = \"linear\", warmup = 0.2 }, batch_size = \"base * 2^epoch\", \
           weight_decay = \"tied\", dropout = [[0, 0], [5, 1]], augmentation = \"-1\", \
           penalty = { kind = \"exponential\", factor = 0.5 } }",
    );
    let bases = Bases { learning_rate: 0.4, batch_size: 12, weight_decay: 0.01 };
    let values = |step| schedules.values(&bases, &Progress::new(step, 10, 10), &Reactions::default());
    assert_eq!(
        values(9),
        Values {
            learning_rate: 0.2,
            batch_size: 12,
            weight_decay: 0.005,
            dropout: 0.0,
            augmentation: 0.0,
            penalty: 1.0
        }
    );
    let late = values(60);
    assert_close(&[late.learning_rate, late.weight_decay, late.penalty], &[0.2, 0.005, 1.0 / 64.0]);
    assert_eq!((late.batch_size, late.dropout), (768, 1.0));
}

#[test]
fn reactions_lower_any_schedule_and_go_into_a_checkpoint() {
    let schedules: Schedules = setting(
        "{ learning_rate = { kind = \"exponential\", factor = 0.5, plateau = { factor = 0.1, patience = 1, min = 0.015 } }, \
           batch_size = { kind = \"plateau\", factor = 2, patience = 0, monitor = \"train_loss\", max = 100 } }",
    );
    assert_eq!(schedules.monitors(), [("learning_rate", "val_loss"), ("batch_size", "train_loss")]);
    let bases = Bases { learning_rate: 1.0, batch_size: 30, weight_decay: 0.0 };
    let mut reactions = Reactions::default();
    let reading = |value| move |_: &str| Some(Reading { value, direction: Direction::Minimize });
    assert!(reactions.observe(&schedules, &reading(1.0)).is_empty());
    assert_eq!(reactions.observe(&schedules, &reading(f64::NAN)), ["batch_size"]);
    let written = serde_json::to_string(&reactions).expect("JSON");
    let mut reactions: Reactions = serde_json::from_str(&written).expect("the same");
    assert_eq!(reactions.observe(&schedules, &reading(1.0)), ["learning_rate", "batch_size"]);
    let values = schedules.values(&bases, &Progress::new(10, 10, 10), &reactions);
    assert_close(&[values.learning_rate], &[0.05]);
    assert_eq!(values.batch_size, 100);
    reactions.lower_rate(0.1);
    let values = schedules.values(&bases, &Progress::new(10, 10, 10), &reactions);
    assert_close(&[values.learning_rate], &[0.015]);
    // A report without the metric counts for nothing.
    assert!(reactions.observe(&schedules, &|_| None).is_empty());
}

#[test]
fn no_curve_breaks_in_the_shortest_training() {
    let all = [
        "\"constant\"",
        "{ kind = \"step\", every = 1 }",
        "{ kind = \"multi_step\", milestones = [0.1] }",
        "\"exponential\"",
        "{ kind = \"polynomial\", power = 0.5, by = \"epoch\" }",
        "{ kind = \"linear\", epochs = 1e-9 }",
        "\"inverse_sqrt\"",
        "\"cosine\"",
        "{ kind = \"cosine_restarts\", period = 1e-300, growth = 2 }",
        "{ kind = \"one_cycle\", rise = 0.0 }",
        "{ kind = \"one_cycle\", rise = 1.0, three_phases = true, by = \"epoch\" }",
        "[[5, 1]]",
        "\"1 + log(progress) / 2\"",
        "{ kind = \"join\", parts = [{ until = 9, schedule = \"one_cycle\" }] }",
        "{ kind = \"product\", of = [\"cosine\"] }",
        "\"plateau\"",
        "\"tied\"",
    ];
    assert_eq!(all.len(), Curve::KINDS.len() + 1, "one of each kind, two of one");
    for text in all {
        let mut schedule: Schedule = setting(text);
        for warmup_epochs in [0.0, 0.5, 3.0] {
            schedule.common.warmup_epochs = Some(warmup_epochs);
            for (step, per_epoch, epochs) in
                [(0, 1, 1), (1, 1, 1), (0, 3, 1), (2, 3, 1), (7, 2, 3), (0, 1, 0)]
            {
                let value = schedule.value(0.1, &Progress::new(step, per_epoch, epochs), 1.0);
                assert!((0.0..=1.0).contains(&value), "{text} at step {step}: {value}");
            }
        }
    }
}

#[test]
fn schedules_can_be_searched() {
    let range = "learning_rate = { choice = [\"cosine\", [[0, 0.1], [5, { float = [0.01, 0.05] }]], \
                 \"0.1 * 0.9^epoch\", { kind = \"step\", every = { int = [2, 9] } }] }";
    let file = Node::parse(range, "file.toml").expect("TOML");
    let policy = Policy { allowed: &["learning_rate"], refused: &[] };
    let template = Template::new(&file, "file.toml", &policy).expect("ranges");
    let names: Vec<&str> = template.space().iter().map(|parameter| parameter.name.as_str()).collect();
    assert_eq!(names, ["learning_rate", "learning_rate.option2.2.float1", "learning_rate.step.every"]);
    let kinds = ["cosine", "option2", "0.1 * 0.9^epoch", "step"].map(|option| {
        let values = [Value::Text(option.to_owned()), Value::Float(0.02), Value::Int(3)];
        let params: Params = names.iter().map(|name| (*name).to_owned()).zip(values).collect();
        let filled = template.fill(&params).expect("values");
        let mut problems = Problems::new("file.toml");
        let node = filled.get("learning_rate").expect("the key");
        let schedule = Schedule::decode(node, "learning_rate", &mut problems);
        schedule.unwrap_or_else(|| panic!("{problems}")).curve.kind()
    });
    assert_eq!(kinds, ["cosine", "points", "formula", "step"]);
}
