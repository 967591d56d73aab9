//! The same bits, however a training runs: alone or beside others, in one thread or two, in one process or in
//! several.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use luthier_train::{Checkpoint, Report, Run, Setup, TrainedModel};

use crate::common::{
    CNN, FakeTrial, MLP, classes, evaluate, experiment, finish, images, mlp, model, setup, start, state,
    state_of, texts, trace, traced, train, with_seed,
};

/// Names of trainings of ten epochs, for [`long`].
pub(crate) const LONG: [&str; 4] = ["mlp", "cnn", "lstm", "text"];

/// A training of ten epochs: layers of every sort that draws or remembers.
pub(crate) fn long(name: &str) -> Setup {
    let (sections, data) = match name {
        "mlp" => (
            r#"
[model]
layers = [{ dense = 16, activation = "relu" }, { batch_norm = true }, { dropout = 0.3 }, { dense = 8 }]

[train]
epochs = 10
batch_size = 16
optimizer = { kind = "adam", learning_rate = 0.01 }
schedule = { learning_rate = { kind = "cosine", warmup = 0.1 } }
"#,
            classes(240, 0.05),
        ),
        "cnn" => (
            r#"augment = { flip = 0.5, crop = 1, rotate = 20.0, mixup = 0.3 }

[model]
layers = [
  { conv = 6, padding = "same" },
  { batch_norm = true },
  { activation = "relu" },
  { max_pool = 2 },
  { spatial_dropout = 0.1 },
  { conv = 8, padding = "same", activation = "gelu" },
  { dropout = 0.2 },
  { dense = 10, activation = "silu" },
]

[train]
epochs = 10
batch_size = 12
optimizer = { kind = "sgd", learning_rate = 0.05, momentum = 0.9, nesterov = true, weight_decay = 1e-4 }
schedule = { learning_rate = "one_cycle", augmentation = [[0, 1.0], [5, 0.5]] }
"#,
            images(96),
        ),
        "lstm" => (
            r#"
[model]
layers = [{ rows = true }, { lstm = 12, bidirectional = true, output = "last" }, { dropout = 0.2 }]

[train]
epochs = 10
batch_size = 12
optimizer = { kind = "adamw", learning_rate = 0.01 }
gradient_clip = { norm = 1.0 }
"#,
            images(96),
        ),
        "text" => (
            r#"max_length = 10

[model]
layers = [
  { embedding = 8 },
  { position = "learned" },
  { attention = 2, dropout = 0.1 },
  { lstm = 6, layers = 2, dropout = 0.2 },
]

[train]
epochs = 10
batch_size = 12
optimizer = { kind = "muon", learning_rate = 0.02 }
ema = { decay = 0.95 }
"#,
            texts(90),
        ),
        other => panic!("there is no training {other}"),
    };
    setup(sections, data, "val_loss", 7)
}

#[test]
fn a_setup_gives_the_same_bits_every_time() {
    assert_eq!(trace(mlp(7)), trace(mlp(7)));
    let cnn = || setup(CNN, images(96), "val_accuracy", 7);
    assert_eq!(trace(cnn()), trace(cnn()));
}

#[test]
fn another_seed_gives_other_weights_and_order() {
    let (one, other) = (trace(mlp(7)), trace(mlp(8)));
    assert_ne!(one.reports, other.reports);
    assert_ne!(one.state, other.state);
}

#[test]
fn a_run_gives_the_same_bits_beside_others() {
    for name in LONG {
        let alone = trace(long(name));
        let beside = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for seed in [7, 8, 9, 7] {
                let beside = &beside;
                scope.spawn(move || {
                    let trace = trace(with_seed(long(name), seed));
                    if seed == 7 {
                        beside.lock().expect("no panic").push(trace);
                    }
                });
            }
        });
        for trace in beside.into_inner().expect("no panic") {
            assert_eq!(trace, alone, "{name}");
        }
    }
}

#[test]
fn what_others_left_in_the_memory_of_a_thread_changes_nothing() {
    let fresh = |name: &'static str| thread::spawn(move || trace(long(name))).join().expect("no panic");
    let first: Vec<_> = LONG.into_iter().map(fresh).collect();
    thread::scope(|scope| {
        let one_after_the_other = || LONG.map(|name| trace(long(name)));
        let again = scope.spawn(move || [one_after_the_other(), one_after_the_other()]).join();
        for traces in again.expect("no panic") {
            assert!(traces.iter().eq(&first), "a run depends on those before it");
        }
    });
}

#[test]
fn one_thread_and_two_give_the_same_bits() {
    // Wide enough for matrix products and convolutions to be divided among threads.
    const WIDE: &str = r#"
[model]
layers = [{ dense = 256, activation = "relu" }, { dropout = 0.3 }, { dense = 256, activation = "tanh" }]

[train]
epochs = 6
batch_size = 256
optimizer = "adam"
"#;
    let wide = || setup(WIDE, classes(600, 0.05), "val_loss", 1);
    let cnn = || setup(&CNN.replace("batch_size = 12", "batch_size = 64"), images(96), "val_loss", 1);
    let on = |threads: usize, setup: Setup| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| trace(setup))
    };
    assert_eq!(on(1, wide()), on(2, wide()));
    assert_eq!(on(1, cnn()), on(2, cnn()));
    for name in LONG {
        assert_eq!(on(1, long(name)), on(2, long(name)), "{name}");
    }
}

#[test]
fn a_model_file_has_the_same_bytes_every_time() {
    let experiment = experiment(MLP, classes(240, 0.05), "val_loss");
    let run = || evaluate(&experiment, &mut FakeTrial { seed: 7, ..FakeTrial::default() });
    let first = run();
    for _ in 0..4 {
        assert!(run() == first, "the same training wrote another file");
    }
    let bytes = model(&first).to_bytes().expect("bytes");
    let luthier_core::Evaluation::Complete { model: Some(file), .. } = &first else { panic!("{first:?}") };
    assert_eq!(*file, bytes);
    assert!(TrainedModel::from_bytes(file, luthier_train::Device::flex()).is_ok());
}

#[test]
fn a_checkpoint_in_memory_is_as_good_as_none() {
    for name in LONG {
        let straight = trace(long(name));
        let mut first = start(long(name));
        let mut reports = train(&mut first, 4);
        let checkpoint = first.checkpoint();
        // The run it was taken of goes on undisturbed.
        let mut straight_on = reports.clone();
        straight_on.extend(finish(&mut first));
        assert_eq!(traced(straight_on, &first), straight, "{name}");
        drop(first);
        let mut second = Run::resume(long(name), &checkpoint).expect("the same run");
        assert_eq!(state(&second), state_of(&checkpoint), "{name}: taking up changes nothing");
        reports.extend(finish(&mut second));
        assert_eq!(traced(reports, &second), straight, "{name}");
    }
}

const ROLE: &str = "LUTHIER_RUNS_TEST_NAME";
const FILE: &str = "LUTHIER_RUNS_TEST_FILE";

#[test]
fn four_epochs_and_six_in_another_process_are_ten() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in LONG {
        let straight = trace(long(name));
        let mut run = start(long(name));
        let mut reports = train(&mut run, 4);
        let file = folder.path().join(name);
        std::fs::write(&file, run.checkpoint().to_bytes().expect("bytes")).expect("a file");
        drop(run);
        let status = Command::new(std::env::current_exe().expect("this program"))
            .args(["--ignored", "--exact", "bits::the_other_process"])
            .envs([(ROLE, name), (FILE, file.to_str().expect("a name"))])
            .stdout(Stdio::null())
            .status()
            .expect("another process");
        assert!(status.success(), "{name}");
        let bytes = std::fs::read(file.with_extension("end")).expect("what it left");
        let end = Checkpoint::from_bytes(&bytes).expect("a checkpoint");
        assert_eq!(state_of(&end), straight.state, "{name}");
        let said = std::fs::read_to_string(file.with_extension("reports")).expect("what it left");
        let run = Run::resume(long(name), &end).expect("the same run");
        assert_eq!(said, format!("{:?}", &straight.reports[4..]), "{name}");
        reports.extend_from_slice(&straight.reports[4..]);
        assert_eq!(traced(reports, &run), straight, "{name}");
    }
}

#[test]
#[ignore = "played by another process for `four_epochs_and_six_in_another_process_are_ten`"]
fn the_other_process() {
    let (Ok(name), Ok(file)) = (std::env::var(ROLE), std::env::var(FILE)) else { return };
    let file = Path::new(&file);
    let checkpoint = Checkpoint::from_bytes(&std::fs::read(file).expect("a file")).expect("a checkpoint");
    assert_eq!(checkpoint.position().epoch, 4);
    let mut run = Run::resume(long(&name), &checkpoint).expect("the same run");
    let reports = finish(&mut run);
    std::fs::write(file.with_extension("reports"), format!("{reports:?}")).expect("a file");
    std::fs::write(file.with_extension("end"), run.checkpoint().to_bytes().expect("bytes")).expect("a file");
}

#[test]
fn a_plan_and_the_graph_train_alike_and_each_goes_on_from_the_others_checkpoint() {
    for name in ["mlp", "cnn"] {
        let by_graph = || {
            let mut setup = long(name);
            setup.plan = false;
            setup
        };
        let (mut plan, mut graph) = (start(long(name)), start(by_graph()));
        let (reports, others) = (train(&mut plan, 3), train(&mut graph, 3));
        assert!(plan.plan().is_some() && graph.plan().is_none(), "{name}");
        for (report, other) in reports.iter().zip(&others) {
            for metric in ["train_loss", "val_loss", "gradient_norm", "update_ratio"] {
                let value = |report: &Report| report.metrics.get(metric).expect(metric);
                let (one, other) = (value(report), value(other));
                assert!((one - other).abs() <= 2e-3 * other.abs(), "{name}, {metric}: {one} and {other}");
            }
        }
        // A checkpoint does not say what computed it.
        let mut went_on = Run::resume(by_graph(), &plan.checkpoint()).expect("the same training");
        let mut came_back = Run::resume(long(name), &graph.checkpoint()).expect("the same training");
        let last = |reports: Vec<Report>| reports.last().and_then(|last| last.metrics.get("val_loss"));
        let (one, other) = (last(train(&mut went_on, 4)), last(train(&mut came_back, 4)));
        let (one, other) = (one.expect("a loss"), other.expect("a loss"));
        assert!((one - other).abs() <= 5e-3 * other.abs(), "{name}: {one} and {other}");
    }
}
