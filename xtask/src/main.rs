//! Tasks of the workspace.
//!
//! - `cargo xtask examples`: every example in full, its results written to `docs/examples.md`.
//! - `cargo xtask examples --short`: every example in a few seconds each, nothing written.
#![allow(clippy::print_stdout, reason = "a task talks to the person who started it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["examples"] => examples(false),
        ["examples", "--short"] => examples(true),
        _ => bail!("there is one task: cargo xtask examples [--short]"),
    }
}

/// What was measured of an example: what it is and what came out.
struct Line {
    what: String,
    result: String,
    wanted: &'static str,
    seconds: f64,
}

fn examples(short: bool) -> Result<()> {
    let bench = Bench::new(short)?;
    let mut lines = bench.case_study()?;
    match bench.data() {
        Some(data) => {
            lines.push(bench.housing(&data)?);
            lines.extend(bench.mnist(&data)?);
        }
        None if std::env::var_os("CI").is_some() => bail!("the data for the examples is missing"),
        None => println!("skipped: housing and mnist need LUTHIER_DATA with tabular/ and mnist/"),
    }
    let report = report(&lines)?;
    println!("\n{report}");
    if !short {
        std::fs::create_dir_all(bench.root.join("docs"))?;
        std::fs::write(bench.root.join("docs/examples.md"), report)?;
        println!("wrote docs/examples.md");
    }
    Ok(())
}

struct Bench {
    root: PathBuf,
    luthier: PathBuf,
    work: PathBuf,
    short: bool,
}

impl Bench {
    fn new(short: bool) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace")?.to_path_buf();
        let luthier = std::env::current_exe()?.parent().context("the target folder")?.join("luthier");
        if !luthier.exists() {
            let built = Command::new("cargo").args(["build", "--release"]).current_dir(&root).status()?;
            ensure!(built.success(), "luthier could not be built");
        }
        let work = std::env::temp_dir().join(format!("luthier-examples-{}", std::process::id()));
        std::fs::create_dir_all(&work)?;
        Ok(Self { root, luthier, work, short })
    }

    /// The folder with the real data: `$LUTHIER_DATA`, or `shared/data` beside the workspace.
    fn data(&self) -> Option<PathBuf> {
        let folder =
            std::env::var_os("LUTHIER_DATA").map_or_else(|| self.root.join("../shared/data"), PathBuf::from);
        folder.join("mnist").is_dir().then_some(folder)
    }

    /// Runs the program and reads its JSON.
    fn run(&self, words: &[&str], data: Option<&Path>) -> Result<Value> {
        println!("luthier {}", words.join(" "));
        let mut command = Command::new(&self.luthier);
        command.args(words).arg("--json").stderr(Stdio::inherit()).current_dir(&self.root);
        if let Some(data) = data {
            command.env("LUTHIER_DATA", data.canonicalize()?);
        }
        let output = command.output().context("luthier could not be started")?;
        ensure!(output.status.success(), "luthier {} failed", words.join(" "));
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn storage(&self, name: &str) -> String {
        self.work.join(format!("{name}.db")).display().to_string()
    }

    fn case_study(&self) -> Result<Vec<Line>> {
        let storage = self.storage("case-study");
        let mut words = vec!["tune", "examples/case-study.toml", "--storage", &storage];
        if self.short {
            words.extend(["--trials", "6"]);
        }
        let started = Instant::now();
        let tuned = self.run(&words, None)?;
        let tuned_seconds = started.elapsed().as_secs_f64();
        let drop = "train.schedule={learning_rate={kind=\"step\",every=50}}";
        let textbook = ["train", "examples/textbook.toml", "--test"];
        let plain = self.run(&textbook, None)?;
        let dropped = self.run(&[&textbook[..], &["--set", drop]].concat(), None)?;
        let value = |result: &Value| result["value"].as_f64().unwrap_or(f64::NAN);
        let line = |what: &str, result: &Value, wanted, seconds| Line {
            what: format!("case study, {what}"),
            result: format!(
                "validation accuracy {:.3}, test {:.3}",
                value(result),
                result["test"]["accuracy"].as_f64().unwrap_or(f64::NAN)
            ),
            wanted,
            seconds,
        };
        if !self.short {
            let best = value(&tuned["best"]);
            ensure!(best >= value(&plain) && best >= value(&dropped), "tuning did not beat the textbook");
        }
        let seconds = |result: &Value| result["seconds"].as_f64().unwrap_or(f64::NAN);
        Ok(vec![
            line("tuned, 40 trials", &tuned["best"], "at least both below, within 2 minutes", tuned_seconds),
            line("textbook setting", &plain, "", seconds(&plain)),
            line("textbook setting, rate / 10 at epoch 50", &dropped, "", seconds(&dropped)),
        ])
    }

    fn housing(&self, data: &Path) -> Result<Line> {
        let storage = self.storage("housing");
        let table = data.join("tabular/california_housing.csv").canonicalize()?;
        let source =
            format!("data.source={{csv={:?}, target=\"median_house_value\"}}", table.display().to_string());
        let mut words = vec!["tune", "examples/housing.toml", "--storage", &storage, "--set", &source];
        if self.short {
            words.extend(["--trials", "1", "--set", "train.epochs=2"]);
        }
        let started = Instant::now();
        let tuned = self.run(&words, None)?;
        let r2 = tuned["best"]["test"]["r2"].as_f64().unwrap_or(f64::NAN);
        ensure!(self.short || r2 >= 0.75, "R2 on the test rows is {r2}");
        Ok(Line {
            what: "California housing".to_owned(),
            result: format!("test R2 {r2:.4}"),
            wanted: "0.75 within 5 minutes",
            seconds: started.elapsed().as_secs_f64(),
        })
    }

    fn mnist(&self, data: &Path) -> Result<Vec<Line>> {
        let storage = self.storage("mnist");
        let file = "examples/mnist.toml";
        let mut words = vec!["tune", file, "--storage", &storage];
        // In short: one small trial, with most images left out of the training.
        let short = ["--trials", "1", "--set", "train.epochs=1", "--set", "data.split.validation=0.95"];
        let small = ["--set", "model.layers=[{conv=4,kernel=5,activation=\"relu\"},{max_pool=4}]"];
        if self.short {
            words.extend(short);
            words.extend(small);
        }
        let started = Instant::now();
        let tuned = self.run(&words, Some(data))?;
        let seconds = started.elapsed().as_secs_f64();
        let accuracy = tuned["best"]["test"]["accuracy"].as_f64().unwrap_or(f64::NAN);
        ensure!(self.short || accuracy >= 0.99, "accuracy on the test images is {accuracy}");

        let model = self.work.join("mnist.safetensors").display().to_string();
        self.run(&["best", "mnist", "--storage", &storage, "--model", &model], None)?;
        let images = data.join("mnist/t10k-images-idx3-ubyte.gz").display().to_string();
        let labels = data.join("mnist/t10k-labels-idx1-ubyte.gz").display().to_string();
        let evaluated = self.run(&["evaluate", &model, &images, "--labels", &labels], None)?;
        let again = evaluated["metrics"]["accuracy"].as_f64().unwrap_or(f64::NAN);
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
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.work) {
            println!("could not remove {}: {error}", self.work.display());
        }
    }
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
