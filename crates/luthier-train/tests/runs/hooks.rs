//! What a caller does between the steps of a run.

use luthier_train::{Advance, Hook, Position, Report, Run, Values};

use crate::common::{MLP, classes, finish, mlp, setup, start, timeless, trace};

/// Counts what it is told.
#[derive(Default)]
struct Counts {
    before: Vec<Position>,
    after: Vec<(Position, f64)>,
    reports: Vec<Report>,
    asked: usize,
}

impl Hook for Counts {
    fn before_step(&mut self, at: &Position, values: &mut Values) {
        assert!(values.learning_rate >= 0.0 && values.batch_size >= 1);
        self.before.push(*at);
    }

    fn after_step(&mut self, at: &Position, loss: f64) {
        self.after.push((*at, loss));
    }

    fn after_report(&mut self, report: &Report) {
        self.reports.push(timeless(report.clone()));
    }

    fn pauses(&mut self) -> bool {
        self.asked += 1;
        false
    }
}

fn finish_with(run: &mut Run, hook: &mut dyn Hook) -> Vec<Report> {
    let mut reports = Vec::new();
    loop {
        match run.advance(hook).expect("data that can be read") {
            Advance::Report(report) => reports.push(timeless(report)),
            Advance::Ended(_) => return reports,
            other => panic!("expected a report, found {other:?}"),
        }
    }
}

#[test]
fn a_hook_is_told_of_every_step_and_every_report() {
    let text = MLP.replace("epochs = 6", "epochs = 3\nvalidate_every = 0.5\naccumulate = 2");
    let setup = setup(&text, classes(240, 0.05), "val_loss", 5);
    let mut run = start(setup.clone());
    let mut counts = Counts::default();
    let reports = finish_with(&mut run, &mut counts);
    let examples = run.setup().data.split().train.len();
    let steps = 3 * examples.div_ceil(32);
    assert_eq!((counts.before.len(), counts.after.len()), (steps, steps));
    for (i, (before, (after, loss))) in counts.before.iter().zip(&counts.after).enumerate() {
        assert_eq!((before.step, after.step), (i as u64, i as u64 + 1));
        assert!(loss.is_finite());
    }
    assert_eq!(counts.reports, reports);
    assert_eq!(reports.len(), 6);
    assert_eq!(counts.asked, steps + 6, "before each step, and while measuring");
    assert_eq!(reports, trace(setup).reports, "a hook that only listens changes nothing");
    let (last, end) = (counts.after[steps - 1].0, run.position());
    assert_eq!((last.epoch, last.step, last.report), (3, end.step, 5));
    assert_eq!((end.report, end.measured_step), (6, end.step));
    assert_eq!(last.pass, 3 * examples.div_ceil(16) as u64);
}

#[test]
fn the_losses_of_the_steps_are_those_of_the_report() {
    // Steps of equal size, without dropout: the mean of their losses is the loss of training.
    let text = "[train]\nepochs = 1\nbatch_size = 26\noptimizer = \"sgd\"\n";
    let mut run = start(setup(text, classes(240, 0.05), "val_loss", 5));
    assert_eq!(run.setup().data.split().train.len() % 26, 0);
    let mut counts = Counts::default();
    let reports = finish_with(&mut run, &mut counts);
    let mean = counts.after.iter().map(|(_, loss)| loss).sum::<f64>() / counts.after.len() as f64;
    let reported = reports[0].metrics.get("train_loss").expect("a loss");
    assert!((mean - reported).abs() < 1e-9, "{mean}, {reported}");
}

/// Changes every value that a step has.
struct Changes;

impl Hook for Changes {
    fn before_step(&mut self, at: &Position, values: &mut Values) {
        values.learning_rate = if at.epoch < 2 { 0.0 } else { 0.005 };
        values.batch_size = 8;
        values.dropout = 0.0;
        values.weight_decay = 0.0;
    }
}

#[test]
fn what_a_hook_sets_holds_for_the_step() {
    let mut run = start(mlp(5));
    let reports = finish_with(&mut run, &mut Changes);
    let metric = |report: usize, name: &str| reports[report].metrics.get(name).expect("a metric");
    assert_eq!([metric(0, "learning_rate"), metric(2, "learning_rate")], [0.0, 0.005]);
    // 156 rows are nineteen steps of eight, and one of four.
    assert_eq!(run.position().step, 6 * run.setup().data.split().train.len().div_ceil(8) as u64);
    assert_eq!(metric(0, "val_loss"), metric(1, "val_loss"), "nothing moves at a rate of 0");
    assert_ne!(metric(1, "val_loss"), metric(2, "val_loss"));
    assert_ne!(reports, finish(&mut start(mlp(5))));
    assert_eq!(reports, finish_with(&mut start(mlp(5)), &mut Changes), "the same hook, the same bits");
}

#[test]
fn a_closure_pauses_a_run_and_it_goes_on_by_itself() {
    let mut run = start(mlp(5));
    let mut asked = 0;
    let mut reports = Vec::new();
    let mut pauses = 0;
    loop {
        let advance = run.advance(&mut || {
            asked += 1;
            asked % 7 == 0
        });
        match advance.expect("data that can be read") {
            Advance::Report(report) => reports.push(timeless(report)),
            Advance::Paused => pauses += 1,
            Advance::Ended(_) => break,
            Advance::Diverged { .. } => panic!("it diverged"),
        }
    }
    assert!(pauses > 6);
    assert_eq!(reports, trace(mlp(5)).reports);
}
