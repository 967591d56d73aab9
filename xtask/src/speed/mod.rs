//! Luthier and PyTorch side by side: how fast they train the same networks.
//!
//! They take turns, so that what else the machine does meets both. See `docs/performance.md` for the method.

mod case;
mod fixed;
mod ours;
mod pytorch;
pub(crate) mod table;

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::bench::Bench;
use case::{AtOnce, CASES, Case};
use ours::Ours;
use pytorch::{Python, Servers};
use table::{Figures, Line};

pub(crate) use fixed::run as mnist_fixed;

/// A variant that is slower than this share of the best in a first measurement is left out of the others.
const WORTH_REPEATING: f64 = 0.7;

/// What the command says.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Options<'a> {
    names: Vec<&'a str>,
    repeats: Option<usize>,
    seconds: Option<f64>,
    threads: Option<usize>,
    epochs: Option<u64>,
    write: bool,
}

impl<'a> Options<'a> {
    /// Reads the words behind `bench train`, or behind `bench mnist-fixed`.
    pub(crate) fn read(words: &[&'a str]) -> Result<Self> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match *word {
                "--repeats" => options.repeats = Some(value()?.parse().context("--repeats")?),
                "--seconds" => options.seconds = Some(value()?.parse().context("--seconds")?),
                "--threads" => options.threads = Some(value()?.parse().context("--threads")?),
                "--epochs" => options.epochs = Some(value()?.parse().context("--epochs")?),
                "--write" => options.write = true,
                word if word.starts_with('-') => bail!("there is no option {word}"),
                name => options.names.push(name),
            }
        }
        ensure!(options.repeats != Some(0) && options.threads != Some(0), "at least one");
        Ok(options)
    }
}

/// `cargo xtask bench train`.
pub(crate) fn train(options: &Options<'_>) -> Result<()> {
    for name in &options.names {
        let known: Vec<&str> = CASES.iter().map(|case| case.name).collect();
        ensure!(known.contains(name), "there is no case {name}; there are {}", known.join(", "));
    }
    ensure!(
        !options.write || options.names.is_empty(),
        "--write writes the whole table: leave out the names"
    );
    let bench = Bench::without_program()?;
    let python = Python::new(bench.root(), &bench.path(""));
    let variants = match python.variants() {
        Ok(variants) => Some(variants),
        Err(reason) => {
            println!("without PyTorch: {reason:#}");
            None
        }
    };
    let pytorch = variants.as_ref().map(|variants| (&python, variants));
    let mut lines = Vec::new();
    for case in CASES.iter().filter(|case| options.names.is_empty() || options.names.contains(&case.name)) {
        println!("{}", case.name);
        lines.push(measure(case, options, &bench, pytorch).with_context(|| case.name)?);
    }
    let text = table::table(&lines, &about(options, variants.as_ref()));
    println!("\n{text}");
    if options.write {
        table::put(&bench.root().join("docs/performance.md"), "train", &text)?;
        println!("wrote docs/performance.md");
    }
    Ok(())
}

/// The machine and the way it was measured.
fn about(options: &Options<'_>, variants: Option<&Value>) -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown processor");
    let avx512 = if cpu.contains("avx512f") { ", AVX-512" } else { "" };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let version = variants.and_then(|it| it["torch"].as_str()).map(|it| format!(", PyTorch {it}"));
    format!(
        "On {cores} cores ({}{avx512}){}; medians of {} measurements of {} seconds each, with their ranges.",
        model.trim_start_matches([' ', '\t', ':']),
        version.unwrap_or_default(),
        options.repeats(),
        options.seconds()
    )
}

impl Options<'_> {
    fn repeats(&self) -> usize {
        self.repeats.unwrap_or(5)
    }

    fn seconds(&self) -> f64 {
        self.seconds.unwrap_or(4.0)
    }
}

/// One way of PyTorch's to train a case.
struct Rival {
    name: String,
    servers: Servers,
    figures: Figures,
}

fn measure(
    case: &Case,
    options: &Options<'_>,
    bench: &Bench,
    pytorch: Option<(&Python, &Value)>,
) -> Result<Line> {
    let threads = options.threads.unwrap_or(case.threads);
    let seconds = options.seconds();
    let prepared = case.prepare(bench.data().as_deref())?;
    let mut ours = Ours::new(&prepared.setup, case.at_once, threads)?;
    ours.measure(1.0)?;
    let (mut rivals, mut notes, mut limit) = (Vec::new(), Vec::new(), None);
    if let Some((python, variants)) = pytorch {
        let tokens = (!prepared.tokens.is_empty()).then(|| bench.path("tokens"));
        if let Some(path) = &tokens {
            let bytes = prepared.tokens.iter().flat_map(|token| (*token as i32).to_le_bytes());
            std::fs::write(path, bytes.collect::<Vec<u8>>())?;
        }
        let same = Same { batch: case.batch, weights: prepared.weights };
        let about = (python, variants, tokens.as_deref());
        (rivals, notes) = begin(case, threads, seconds.min(3.0), about, &same)?;
        limit = Some(python.serve(("limit", "eager"), 1, threads, None)?);
    }
    // Now nothing of the benchmark runs.
    let others = busy();
    if let Some(others) = others.filter(|others| *others > table::QUIET) {
        println!("  other programs use {:.0}% of the machine: the figures will say little", 100.0 * others);
    }
    let (mut luthier, mut limits) = (Figures(Vec::new()), Figures(Vec::new()));
    for round in 1..=options.repeats() {
        let batch = case.batch as f64;
        luthier.0.push(batch * ours.measure(seconds)?);
        for rival in &mut rivals {
            rival.figures.0.push(batch * rival.servers.measure(seconds, "rate")?);
        }
        if let Some(limit) = &mut limit {
            limits.0.push(1e9 * limit.measure(0.4, "gflops")?);
        }
        let last = |figures: &Figures| figures.0.last().copied().unwrap_or(f64::NAN);
        let others: String =
            rivals.iter().map(|it| format!(", {} {:.1}", it.name, last(&it.figures))).collect();
        println!("  {round}: examples/s: Luthier {:.1}{others}", last(&luthier));
    }
    rivals.sort_by(|a, b| b.figures.median().total_cmp(&a.figures.median()));
    notes
        .extend(rivals.iter().skip(1).map(|it| format!("{} {:.1} examples/s", it.name, it.figures.median())));
    let pytorch = rivals.into_iter().next().map(|it| (it.name, it.figures));
    let (what, flops, limit) = (case.what.to_owned(), prepared.flops, limits.median());
    let notes = if notes.is_empty() { notes } else { vec![format!("PyTorch also: {}", notes.join("; "))] };
    Ok(Line { what, threads, flops, limit, luthier, pytorch, others, notes })
}

/// The share of the machine's time that was spent on something within a second; nothing where it is not known.
fn busy() -> Option<f64> {
    let times = || -> Option<(f64, f64)> {
        let text = std::fs::read_to_string("/proc/stat").ok()?;
        let times = text.lines().next()?.split_whitespace().skip(1).map(str::parse::<f64>);
        // User, nice, system, idle, waiting for the disk, interrupts (two kinds), stolen; others are counted in these.
        let times: Vec<f64> = times.take(8).collect::<Result<_, _>>().ok()?;
        Some((times.iter().sum(), times.get(3)? + times.get(4)?))
    };
    let (all, idle) = times()?;
    std::thread::sleep(std::time::Duration::from_secs(1));
    let (later, idle_later) = times()?;
    Some(1.0 - (idle_later - idle) / (later - all).max(1.0))
}

/// What both sides have to agree on.
struct Same {
    batch: usize,
    weights: usize,
}

/// Starts PyTorch's variants one after the other, and keeps those that are worth repeating. The second result is what
/// there is to say of the others.
fn begin(
    case: &Case,
    threads: usize,
    seconds: f64,
    (python, variants, tokens): (&Python, &Value, Option<&Path>),
    same: &Same,
) -> Result<(Vec<Rival>, Vec<String>)> {
    // Processes, and the threads of each.
    let ways = match case.at_once {
        AtOnce::One => vec![(1, threads)],
        AtOnce::EachThread => vec![(threads, 1)],
        AtOnce::Trials(_) => vec![(1, 1), (threads, 1)],
    };
    let names = variants[case.pytorch].as_array().context("a case that PyTorch does not know")?;
    let names = names.iter().filter_map(Value::as_str);
    let (mut kept, mut notes): (Vec<(f64, Rival)>, Vec<String>) = (Vec::new(), Vec::new());
    for (variant, (count, threads)) in names.flat_map(|name| ways.iter().map(move |way| (name, *way))) {
        let name = match count {
            1 => variant.to_owned(),
            _ => format!("{variant} in {count} processes"),
        };
        let measured =
            python.serve((case.pytorch, variant), count, threads, tokens).and_then(|mut servers| {
                let rate = servers.measure(seconds, "rate")?;
                Ok((servers, rate))
            });
        let (servers, rate) = match measured {
            Ok(measured) => measured,
            Err(reason) => {
                notes.push(format!("{name} failed ({reason:#})"));
                continue;
            }
        };
        let about = |key: &str| servers.about()[key].as_u64().unwrap_or(0) as usize;
        let (batch, weights) = (about("batch"), about("weights"));
        ensure!(
            (batch, weights) == (same.batch, same.weights),
            "PyTorch has {weights} weights in batches of {batch}, Luthier {} in batches of {}",
            same.weights,
            same.batch
        );
        println!("  PyTorch, {name}: {:.1} examples/s at first", rate * case.batch as f64);
        kept.push((rate, Rival { name, servers, figures: Figures(Vec::new()) }));
        let best = kept.iter().fold(0.0_f64, |best, (rate, _)| best.max(*rate));
        let (worth, slow) = kept.into_iter().partition(|(rate, _)| *rate >= WORTH_REPEATING * best);
        kept = worth;
        let slow: Vec<(f64, Rival)> = slow;
        notes.extend(slow.iter().map(|(rate, rival)| {
            format!("{} {:.1} examples/s, measured once", rival.name, rate * case.batch as f64)
        }));
    }
    ensure!(!kept.is_empty(), "PyTorch cannot train it: {}", notes.join("; "));
    Ok((kept.into_iter().map(|(_, rival)| rival).collect(), notes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_others_refused() {
        let read = Options::read(&["mnist", "--repeats", "7", "--threads", "1"]).expect("options");
        assert_eq!((read.names, read.repeats, read.threads), (vec!["mnist"], Some(7), Some(1)));
        for wrong in [&["--repeat", "7"][..], &["--repeats"], &["--repeats", "x"], &["--threads", "0"]] {
            assert!(Options::read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_case_of_the_small_network_is_trained_and_counted() {
        let case = CASES.iter().find(|case| case.name == "case-study").expect("a case");
        let prepared = case.prepare(None).expect("data");
        assert_eq!(prepared.weights, 10 * 16 + 16 + 16 * 2 + 2);
        // The first layer's inputs need no gradients.
        assert_eq!(prepared.flops, f64::from(2 * (2 * 10 * 16 + 3 * 16 * 2)));
        for (at_once, threads) in [(AtOnce::One, 1), (AtOnce::EachThread, 2)] {
            let mut ours = Ours::new(&prepared.setup, at_once, threads).expect("runs");
            assert!(ours.measure(0.01).expect("a rate") > 0.0);
        }
    }
}
