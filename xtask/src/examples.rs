//! The examples, and what they are to reach.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::bench::{Bench, number, quoted};
use crate::prepare;

/// What was measured of an example: what it is and what came out.
struct Line {
    what: String,
    result: String,
    wanted: &'static str,
    seconds: f64,
}

/// An example by its name; those on real data are given its folder.
enum Example {
    Made(fn(&Bench) -> Result<Vec<Line>>),
    Real(fn(&Bench, &Path) -> Result<Vec<Line>>),
}

const EXAMPLES: &[(&str, Example)] = &[
    ("case-study", Example::Made(case_study)),
    ("schedules", Example::Made(schedules)),
    ("housing", Example::Real(housing)),
    ("digits", Example::Real(digits)),
    ("reviews", Example::Real(reviews)),
    ("cifar", Example::Real(cifar)),
    ("transfer", Example::Real(transfer)),
    ("mnist", Example::Real(mnist)),
    ("mnist-best", Example::Real(mnist_best)),
    ("pytorch", Example::Real(pytorch)),
];

/// Runs the examples of these names, or all.
pub(crate) fn run(short: bool, names: &[&str]) -> Result<()> {
    for name in names {
        let known: Vec<&str> = EXAMPLES.iter().map(|(name, _)| *name).collect();
        ensure!(known.contains(name), "there is no example {name}; there are {}", known.join(", "));
    }
    let bench = Bench::new(short)?;
    let mut lines = Vec::new();
    for (name, example) in EXAMPLES.iter().filter(|(name, _)| names.is_empty() || names.contains(name)) {
        match (example, bench.data()) {
            (Example::Made(example), _) => lines.extend(example(&bench)?),
            (Example::Real(example), Some(data)) => lines.extend(example(&bench, &data)?),
            (Example::Real(_), None) if std::env::var_os("CI").is_some() => {
                bail!("the data for the example {name} is missing");
            }
            (Example::Real(_), None) => {
                println!("skipped: {name} needs LUTHIER_DATA, a folder with its data");
            }
        }
    }
    let report = report(&lines)?;
    println!("\n{report}");
    if !short && names.is_empty() {
        std::fs::create_dir_all(bench.root().join("docs"))?;
        std::fs::write(bench.root().join("docs/examples.md"), report)?;
        println!("wrote docs/examples.md");
    }
    Ok(())
}

fn case_study(bench: &Bench) -> Result<Vec<Line>> {
    let started = Instant::now();
    let (tuned, _) = bench.tune("examples/case-study.toml", "6", &[])?;
    let tuned_seconds = started.elapsed().as_secs_f64();
    let drop = "train.schedule={learning_rate={kind=\"step\",every=50}}";
    let plain = bench.luthier(&["train", "examples/textbook.toml", "--test"])?;
    let dropped = bench.luthier(&["train", "examples/textbook.toml", "--test", "--set", drop])?;
    let line = |what: &str, result: &serde_json::Value, wanted, seconds| Line {
        what: format!("case study, {what}"),
        result: format!(
            "validation accuracy {:.3}, test {:.3}",
            number(result, "value"),
            number(result, "test.accuracy")
        ),
        wanted,
        seconds,
    };
    let best = number(&tuned, "best.value");
    if !bench.short {
        let beaten = best >= number(&plain, "value") && best >= number(&dropped, "value");
        ensure!(beaten, "tuning did not beat the textbook");
    }
    let trials = if bench.short { "tuned, 6 trials" } else { "tuned, 40 trials" };
    Ok(vec![
        line(trials, &tuned["best"], "at least both below, within 2 minutes", tuned_seconds),
        line("textbook setting", &plain, "", number(&plain, "seconds")),
        line("textbook setting, rate / 10 at epoch 50", &dropped, "", number(&dropped, "seconds")),
    ])
}

fn schedules(bench: &Bench) -> Result<Vec<Line>> {
    let started = Instant::now();
    let (tuned, _) = bench.tune("examples/schedules.toml", "6", &[])?;
    let kind = tuned["best"]["params"]["train.schedule.learning_rate"].as_str().unwrap_or("?").to_owned();
    Ok(vec![Line {
        what: "case study, every kind of schedule searched".to_owned(),
        result: format!(
            "validation accuracy {:.3}, test {:.3}, with {kind}",
            number(&tuned, "best.value"),
            number(&tuned, "best.test.accuracy")
        ),
        wanted: "",
        seconds: started.elapsed().as_secs_f64(),
    }])
}

fn housing(bench: &Bench, data: &Path) -> Result<Vec<Line>> {
    let table = data.join("tabular/california_housing.csv");
    let source = format!("data.source={{csv={}, target=\"median_house_value\"}}", quoted(&table));
    let mut more = vec!["--set", source.as_str()];
    if bench.short {
        more.extend(["--set", "train.epochs=2"]);
    }
    let started = Instant::now();
    let (tuned, _) = bench.tune("examples/housing.toml", "1", &more)?;
    let r2 = number(&tuned, "best.test.r2");
    ensure!(bench.short || r2 >= 0.78, "R2 on the test rows is {r2}");
    Ok(vec![Line {
        what: "California housing".to_owned(),
        result: format!("test R2 {r2:.4}"),
        wanted: "0.78",
        seconds: started.elapsed().as_secs_f64(),
    }])
}

fn digits(bench: &Bench, data: &Path) -> Result<Vec<Line>> {
    let (images, labels) = prepare::thousand_digits(bench, data)?;
    let source = format!("data.source={{array={}, targets={}}}", quoted(&images), quoted(&labels));
    let mut more = vec!["--set", source.as_str()];
    if bench.short {
        more.extend(["--set", "train.epochs=2"]);
    }
    let started = Instant::now();
    let (tuned, _) = bench.tune("examples/digits.toml", "2", &more)?;
    let params = &tuned["best"]["params"];
    Ok(vec![Line {
        what: "1,000 digits: depth 3 to 10, activation and loss searched".to_owned(),
        result: format!(
            "validation accuracy {:.3}, test {:.3}, with {} layers, {} and {}",
            number(&tuned, "best.value"),
            number(&tuned, "best.test.accuracy"),
            params["model.layers.repeat1.repeat"],
            params["activation"].as_str().unwrap_or("?"),
            params["train.loss"].as_str().unwrap_or("?")
        ),
        wanted: "",
        seconds: started.elapsed().as_secs_f64(),
    }])
}

/// One training with an accuracy to reach on the test examples.
fn trained(
    bench: &Bench,
    file: &str,
    what: &str,
    source: &str,
    (least, wanted): (f64, &'static str),
) -> Result<Vec<Line>> {
    let started = Instant::now();
    let trained = bench.train(file, &["--set", source])?;
    let accuracy = number(&trained, "test.accuracy");
    ensure!(bench.short || accuracy >= least, "{what}: accuracy on the test examples is {accuracy}");
    Ok(vec![Line {
        what: what.to_owned(),
        result: format!("test accuracy {:.2}%", 100.0 * accuracy),
        wanted,
        seconds: started.elapsed().as_secs_f64(),
    }])
}

fn reviews(bench: &Bench, data: &Path) -> Result<Vec<Line>> {
    let table = data.join("text/movie_reviews.csv");
    let source = format!("data.source={{text={}, column=\"text\", target=\"label\"}}", quoted(&table));
    trained(bench, "examples/reviews.toml", "film reviews, GRU", &source, (0.74, "74%"))
}

fn cifar(bench: &Bench, data: &Path) -> Result<Vec<Line>> {
    let folder = prepare::photographs(bench, data)?;
    let source = format!("data.source={{images={}}}", quoted(&folder));
    let what = "CIFAR-10, 5,000 training images";
    trained(bench, "examples/cifar.toml", what, &source, (0.55, "55%"))
}

fn transfer(bench: &Bench, data: &Path) -> Result<Vec<Line>> {
    let (six, four) = prepare::two_tasks(bench, data)?;
    let base = bench.path("base.safetensors").display().to_string();
    let weights = format!("model.weights={base:?}");
    let run = |file: &str, more: &[&str]| -> Result<(serde_json::Value, f64)> {
        let started = Instant::now();
        let run = bench.train(file, more)?;
        Ok((run, started.elapsed().as_secs_f64()))
    };
    let (learnt, base_seconds) = run("examples/transfer-base.toml", &["--set", &six, "--model", &base])?;
    let (head, head_seconds) = run("examples/transfer-head.toml", &["--set", &four, "--set", &weights])?;
    let (scratch, scratch_seconds) = run("examples/transfer-scratch.toml", &["--set", &four])?;
    let [of_base, of_head, of_scratch] =
        [&learnt, &head, &scratch].map(|run| 100.0 * number(run, "test.accuracy"));
    ensure!(bench.short || of_head > of_scratch, "{of_head}% with the frozen base, {of_scratch}% without");
    let line = |what: &str, accuracy: f64, wanted, seconds| Line {
        what: format!("transfer, {what}"),
        result: format!("test accuracy {accuracy:.2}%"),
        wanted,
        seconds,
    };
    Ok(vec![
        line("the base: digits 0 to 5", of_base, "", base_seconds),
        line(
            "digits 6 to 9 from 1,000 images, frozen base and new head",
            of_head,
            "more than below",
            head_seconds,
        ),
        line("the same from scratch", of_scratch, "", scratch_seconds),
    ])
}

fn mnist(bench: &Bench, data: &Path) -> Result<Vec<Line>> {
    // In short: one small trial, with most images left out of the training.
    let mut more = Vec::new();
    if bench.short {
        more.extend(["--set", "train.epochs=1", "--set", "data.split.validation=0.95"]);
        more.extend(["--set", "model.layers=[{conv=4,kernel=5,activation=\"relu\"},{max_pool=4}]"]);
    }
    let started = Instant::now();
    let (tuned, storage) = bench.tune("examples/mnist.toml", "1", &more)?;
    let seconds = started.elapsed().as_secs_f64();
    let accuracy = number(&tuned, "best.test.accuracy");
    ensure!(bench.short || accuracy >= 0.99, "accuracy on the test images is {accuracy}");

    let model = bench.path("mnist.safetensors").display().to_string();
    bench.luthier(&["best", "mnist", "--storage", &storage, "--model", &model])?;
    let images = data.join("mnist/t10k-images-idx3-ubyte.gz").display().to_string();
    let labels = data.join("mnist/t10k-labels-idx1-ubyte.gz").display().to_string();
    let evaluated = bench.luthier(&["evaluate", &model, &images, "--labels", &labels])?;
    let again = number(&evaluated, "metrics.accuracy");
    ensure!(again == accuracy, "`evaluate` says {again}, `tune` said {accuracy}");
    Ok(vec![
        Line {
            what: "MNIST".to_owned(),
            result: format!(
                "test accuracy {:.2}% on 10,000 images, after {} complete trials",
                100.0 * accuracy,
                tuned["trials"]["complete"]
            ),
            wanted: "99.0% within 10 minutes",
            seconds,
        },
        Line {
            what: "MNIST, the model file on the test images".to_owned(),
            result: format!("accuracy {:.2}%", 100.0 * again),
            wanted: "the same",
            seconds: f64::NAN,
        },
    ])
}

fn mnist_best(bench: &Bench, _data: &Path) -> Result<Vec<Line>> {
    let mut more = Vec::new();
    if bench.short {
        more.extend(["--set", "data.split.validation=0.95"]);
        more.extend(["--set", "model.layers=[{conv=4,kernel=5,activation=\"relu\"},{max_pool=4}]"]);
    }
    let started = Instant::now();
    let trained = bench.train("examples/mnist-best.toml", &more)?;
    let accuracy = number(&trained, "test.accuracy");
    let epochs = trained["epochs"].as_array().context("epochs")?.len();
    ensure!(bench.short || accuracy >= 0.995, "accuracy on the test images is {accuracy}");
    Ok(vec![Line {
        what: format!("MNIST, augmentation and one-cycle schedule, {epochs} epochs"),
        result: format!("test accuracy {:.2}%", 100.0 * accuracy),
        wanted: "99.5%",
        seconds: started.elapsed().as_secs_f64(),
    }])
}

/// A script in PyTorch as the objective; nothing where there is no PyTorch.
fn pytorch(bench: &Bench, data: &Path) -> Result<Vec<Line>> {
    let python = std::env::var("LUTHIER_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(&python).args(["-c", "import torch"]).stderr(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        println!("skipped: pytorch needs Python with torch as python3, or as LUTHIER_PYTHON");
        return Ok(Vec::new());
    }
    let table = data.join("tabular/california_housing.csv");
    let (python, table) = (format!("params.python={python:?}"), format!("params.data={}", quoted(&table)));
    let mut more = vec!["--set", &python, "--set", &table];
    if bench.short {
        more.extend(["--set", "params.epochs=2", "--set", "command.steps=2"]);
    }
    let started = Instant::now();
    let (tuned, _) = bench.tune("examples/pytorch/study.toml", "2", &more)?;
    let error = number(&tuned, "best.value");
    ensure!(bench.short || error <= 0.60, "the error on the validation rows is {error}");
    let [complete, stopped] = ["trials.complete", "trials.stopped"].map(|path| number(&tuned, path));
    Ok(vec![Line {
        what: "California housing by a script in PyTorch, `[command]`".to_owned(),
        result: format!(
            "validation RMSE {error:.4} (100,000 $); {complete} trials complete, {stopped} stopped"
        ),
        wanted: "0.60",
        seconds: started.elapsed().as_secs_f64(),
    }])
}

fn report(lines: &[Line]) -> Result<String> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown processor");
    let avx512 = if cpu.contains("avx512f") { ", AVX-512" } else { "" };
    let cores = std::thread::available_parallelism()?;
    let mut text = format!(
        "# What the examples reach\n\nWritten by `cargo xtask examples`, on {cores} cores ({}{avx512}).\n\n\
         | example | result | wanted | seconds |\n| --- | --- | --- | --- |\n",
        model.trim_start_matches([' ', '\t', ':'])
    );
    for Line { what, result, wanted, seconds } in lines {
        let seconds = if seconds.is_nan() { String::new() } else { format!("{seconds:.1}") };
        text += &format!("| {what} | {result} | {wanted} | {seconds} |\n");
    }
    Ok(text)
}
