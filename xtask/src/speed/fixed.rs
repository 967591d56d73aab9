//! One run from beginning to end: `examples/mnist-fixed.toml` and the same in PyTorch.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Options;
use super::pytorch::Python;
use super::table::{Figures, put};
use crate::bench::{Bench, number};

/// Different draws of weights and order.
const SEEDS: usize = 3;

/// What ran: its name, and of each seed the seconds, those of training alone, and the accuracy on the test images.
struct Way {
    name: &'static str,
    runs: Vec<[f64; 3]>,
}

/// `cargo xtask bench mnist-fixed`.
pub(crate) fn run(options: &Options<'_>) -> Result<()> {
    let bench = Bench::new(false)?;
    let data = bench.data().context("LUTHIER_DATA has to name the folder with MNIST's files")?;
    let python = Python::new(bench.root(), &bench.path(""));
    let threads = options.threads.unwrap_or(2).to_string();
    let epochs = options.epochs.unwrap_or(10).to_string();
    let mut ways = ["Luthier", "PyTorch, data in memory", "PyTorch, DataLoader"]
        .map(|name| Way { name, runs: Vec::new() });
    for seed in 0..options.repeats.unwrap_or(SEEDS) {
        let seed = seed.to_string();
        let set = format!("search.seed={seed}");
        let file = "examples/mnist-fixed.toml";
        let words = ["train", file, "--test", "--threads", &threads, "--epochs", &epochs, "--set", &set];
        let trained = bench.luthier(&words)?;
        let epochs_of = trained["epochs"].as_array().context("epochs")?;
        // Luthier's seconds of an epoch hold those of measuring it, of which there are few.
        let training = epochs_of.iter().map(|epoch| number(epoch, "seconds")).sum();
        ways[0].runs.push([number(&trained, "seconds"), training, number(&trained, "test.accuracy")]);
        for (way, more) in ways[1..].iter_mut().zip([&[][..], &["--loader"]]) {
            let mut command = python.command("mnist_fixed.py");
            command.arg(data.join("mnist")).args([
                "--seed",
                &seed,
                "--threads",
                &threads,
                "--epochs",
                &epochs,
            ]);
            let output = command.args(more).stderr(Stdio::inherit()).output()?;
            ensure!(output.status.success(), "mnist_fixed.py failed");
            let found: Value = serde_json::from_slice(&output.stdout)?;
            way.runs.push(["seconds", "training", "accuracy"].map(|key| number(&found, key)));
        }
        for way in &ways {
            let [seconds, training, accuracy] = way.runs[way.runs.len() - 1];
            println!(
                "  seed {seed}: {}: {seconds:.1} s, {training:.1} s of training, {accuracy:.4}",
                way.name
            );
        }
    }
    let text = table(&ways, &threads, &epochs);
    println!("\n{text}");
    if options.write {
        put(&bench.root().join("docs/performance.md"), "mnist-fixed", &text)?;
        println!("wrote docs/performance.md");
    }
    Ok(())
}

fn table(ways: &[Way], threads: &str, epochs: &str) -> String {
    let column = |way: &Way, at: usize| Figures(way.runs.iter().map(|run| run[at]).collect());
    let mut text = format!(
        "Medians of {} seeds; {epochs} epochs with {threads} threads.\n\n\
         | | seconds | of them training | seconds, as a multiple of Luthier's | mean accuracy on the test images |\n\
         | --- | --- | --- | --- | --- |\n",
        ways[0].runs.len()
    );
    let mine = column(&ways[0], 0).median();
    for way in ways {
        let (seconds, accuracies) = (column(way, 0), column(way, 2).0);
        text += &format!(
            "| {} | {:.1} | {:.1} | {:.2} | {:.2}% |\n",
            way.name,
            seconds.median(),
            column(way, 1).median(),
            seconds.median() / mine,
            100.0 * accuracies.iter().sum::<f64>() / accuracies.len() as f64
        );
    }
    text
}
