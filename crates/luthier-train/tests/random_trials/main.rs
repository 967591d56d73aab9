//! Two hundred random trials over all techniques on tiny data: each ends in a value or a stated cause, a
//! pause changes nothing, and its model answers.

mod data;
mod files;
mod techniques;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use luthier_core::config::{Node, Policy, Template};
use luthier_core::{
    Decision, Ending, Evaluation, Metrics, Objective, ObjectiveError, Params, Purpose, Stop, Streams,
    TrialHandle, TrialId,
};
use luthier_train::batch_size::BatchSizeConfig;
use luthier_train::data::{SplitConfig, TestSplit};
use luthier_train::{Device, Experiment, MetricName, TrainedModel, TrainingConfig};

use files::draw;
use techniques::{Seen, expected, seen};

/// How many, unless `LUTHIER_TRIALS` asks for another number.
const TRIALS: u64 = 200;

/// A trial in memory, which is interrupted when it has been asked `interrupt_after` times.
#[derive(Default)]
struct Trial {
    params: Params,
    seed: u64,
    interrupt_after: Option<u64>,
    asked: AtomicU64,
    reports: u64,
    checkpoint: Option<Vec<u8>>,
}

impl TrialHandle for Trial {
    fn id(&self) -> TrialId {
        TrialId(self.seed)
    }

    fn params(&self) -> &Params {
        &self.params
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn until(&self) -> Option<u64> {
        None
    }

    fn report(&mut self, _: u64, value: f64, _: Metrics) -> Result<Decision, ObjectiveError> {
        assert!(value.is_finite());
        self.reports += 1;
        Ok(Decision::Continue)
    }

    fn interrupted(&self) -> Option<Stop> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        self.interrupt_after.is_some_and(|after| asked >= after).then_some(Stop::Interrupted)
    }

    fn checkpoint(&mut self) -> Result<Option<Vec<u8>>, ObjectiveError> {
        Ok(self.checkpoint.clone())
    }

    fn wants_checkpoint(&self) -> bool {
        false
    }

    fn save_checkpoint(&mut self, checkpoint: Vec<u8>) -> Result<(), ObjectiveError> {
        self.checkpoint = Some(checkpoint);
        Ok(())
    }
}

/// Runs the trial with this number: how it ended, in a word and in full, and what was in it.
fn run(number: u64) -> (&'static str, String, Seen) {
    let mut rng = Streams::new(2024).at(Purpose::Sampler, number);
    let (sections, data, objective) = draw(number, &mut rng);
    // The data is handed over apart; its section says how it is transformed.
    let text = format!("[data]\nsource = \"mnist\"\n{sections}");
    let policy = Policy { allowed: &["data", "model", "train"], refused: &[] };
    let node = Node::parse(&text, "study.toml").expect("TOML");
    let template = Template::new(&node, "study.toml", &policy).expect("a template");
    let split = SplitConfig {
        validation: 0.25,
        test: TestSplit::Share(0.1),
        stratify: false,
        seed: 1,
        ..SplitConfig::default()
    };
    let splits = vec![split.split(&data).expect("a split")];
    let objective = MetricName::parse(objective).expect("a metric");
    let direction = objective.direction();
    let experiment = Experiment::new(template, data, splits, objective, direction, Device::flex());
    let params = experiment.space().sample(&mut rng);
    let file = experiment.file(&params, number, None).expect("a file");
    let config = TrainingConfig::read(&file, "study.toml")
        .unwrap_or_else(|problems| panic!("{problems}\n{}", file.to_toml()));

    let mut trial = Trial { params: params.clone(), seed: number, ..Trial::default() };
    let evaluation = experiment.evaluate(&mut trial).expect("no error of the objective");
    // What is chosen by a clock may come out otherwise the next time.
    if !matches!(config.train.batch_size, BatchSizeConfig::Auto(_)) {
        let asked = trial.asked.load(Ordering::Relaxed);
        let interrupt_after = Some(rng.below(asked as usize + 1) as u64);
        let mut again = Trial { params, seed: number, interrupt_after, ..Trial::default() };
        let first = experiment.evaluate(&mut again).expect("no error of the objective");
        let second = if first == Evaluation::Paused {
            again.interrupt_after = None;
            experiment.evaluate(&mut again).expect("no error of the objective")
        } else {
            first
        };
        let paused = format!("a pause after {interrupt_after:?} of {asked}");
        same(&second, &evaluation, &format!("{paused} changed it:\n{}", file.to_toml()));
        assert_eq!(again.reports, trial.reports);
    }
    match evaluation {
        Evaluation::Complete { value, step: Some(_), ending, model: Some(model) } => {
            assert!(value.is_finite() && trial.reports > 0);
            let model = TrainedModel::from_bytes(&model, Device::flex()).expect("a model");
            let answers = model.predict(&experiment.dataset().inputs, &[]).expect("answers");
            assert_eq!(answers.len(), experiment.dataset().len());
            let word = match ending {
                Ending::Full => "full",
                Ending::EarlyStopped { .. } => "early",
                Ending::Diverged { .. } => "diverged late",
            };
            (word, ending.to_string(), seen(&config))
        }
        Evaluation::Failed(cause) => {
            assert!(!cause.to_string().is_empty());
            ("failed", cause.to_string(), Seen::new())
        }
        Evaluation::Infeasible(reason) => {
            assert!(!reason.is_empty());
            ("infeasible", reason, Seen::new())
        }
        other => panic!("{other:?}"),
    }
}

/// Asserts that two trials came to the same, bit for bit.
fn same(one: &Evaluation, other: &Evaluation, said: &str) {
    let parts = |evaluation: &Evaluation| match evaluation {
        Evaluation::Complete { value, step, ending, model } => {
            let model = model.clone().unwrap_or_default();
            let length = u64::from_le_bytes(model[..8].try_into().expect("eight bytes")) as usize;
            let header = String::from_utf8(model[8..8 + length].to_vec()).expect("text");
            (format!("{value:?} {step:?} {ending}"), header, model)
        }
        other => (format!("{other:?}"), String::new(), Vec::new()),
    };
    let ((one, one_header, one_model), (other, other_header, other_model)) = (parts(one), parts(other));
    assert_eq!(one, other, "{said}");
    assert_eq!(one_header, other_header, "{said}");
    assert!(one_model == other_model, "other weights: {said}");
}

#[test]
fn two_hundred_random_trials_end_in_a_value_or_a_stated_cause() {
    let trials =
        std::env::var("LUTHIER_TRIALS").ok().and_then(|number| number.parse().ok()).unwrap_or(TRIALS);
    let first = std::env::var("LUTHIER_FIRST").ok().and_then(|number| number.parse().ok()).unwrap_or(0);
    let next = AtomicU64::new(first);
    let ended = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= trials {
                        return;
                    }
                    let end = catch_unwind(AssertUnwindSafe(|| run(number)));
                    ended.lock().expect("no panic").insert(number, end.ok());
                }
            });
        }
    });
    let ended = ended.into_inner().expect("no panic");
    let panicked: Vec<u64> =
        ended.iter().filter(|(_, end)| end.is_none()).map(|(number, _)| *number).collect();
    assert!(panicked.is_empty(), "these trials failed, with the messages above: {panicked:?}");

    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut causes = Vec::new();
    let mut occurred = Seen::new();
    for (number, (word, said, seen)) in ended.into_iter().filter_map(|(number, end)| Some((number, end?))) {
        *counts.entry(word).or_default() += 1;
        occurred.extend(seen);
        if ["failed", "infeasible"].contains(&word) {
            causes.push(format!("{number}: {said}"));
        }
    }
    let complete = trials as usize - causes.len();
    let causes = causes.join("\n");
    assert!(complete as u64 > trials * 7 / 10, "{complete} came to a value: {counts:?}\n{causes}");
    let expected = expected();
    let missing: Vec<&String> = expected.difference(&occurred).collect();
    assert!(counts.contains_key("failed") && counts.contains_key("infeasible"), "{counts:?}");
    assert!(missing.is_empty(), "in no trial that came to a value: {missing:?}\n{counts:?}\n{causes}");
}
