//! What was measured, as a table.

use std::path::Path;

use anyhow::{Context, Result};

/// Figures of one side, in the order in which they were measured.
#[derive(Clone)]
pub(crate) struct Figures(pub(crate) Vec<f64>);

impl Figures {
    /// The figure in the middle; NaN of none.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => f64::NAN,
            n if n % 2 == 1 => sorted[n / 2],
            n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
        }
    }

    /// The median and the range of all.
    pub(crate) fn text(&self) -> String {
        let (least, most) = self
            .0
            .iter()
            .fold((f64::INFINITY, 0.0_f64), |(least, most), figure| (least.min(*figure), most.max(*figure)));
        format!("{} ({} to {})", number(self.median()), number(least), number(most))
    }
}

/// A number with three digits at least.
fn number(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v if v >= 0.1 => format!("{v:.2}"),
        v => format!("{v:.5}"),
    }
}

/// One case.
pub(crate) struct Line {
    pub(crate) what: String,
    /// Threads of all that runs at once.
    pub(crate) threads: usize,
    /// Operations for an example, forward and backward.
    pub(crate) flops: f64,
    /// What the machine can do with so many threads, in operations a second; NaN if it was not measured.
    pub(crate) limit: f64,
    /// Examples a second.
    pub(crate) luthier: Figures,
    /// The best of PyTorch: what it is called, and examples a second. Nothing without PyTorch.
    pub(crate) pytorch: Option<(String, Figures)>,
    /// The share of the machine that other programs used just before, if that is known.
    pub(crate) others: Option<f64>,
    /// What else there is to say of the case.
    pub(crate) notes: Vec<String>,
}

impl Line {
    fn share(&self, rate: f64) -> String {
        let share = 100.0 * rate * self.flops / self.limit;
        if share.is_nan() {
            String::new()
        } else if share < 10.0 {
            format!("{share:.1}%")
        } else {
            format!("{share:.0}%")
        }
    }
}

/// The most that other programs may use without a word on it.
pub(crate) const QUIET: f64 = 0.03;

/// The table and the notes on it.
pub(crate) fn table(lines: &[Line], about: &str) -> String {
    let mut text = format!(
        "{about}\n\n| case | threads | MFLOP an example | Luthier, examples/s | PyTorch's best, examples/s | ratio | \
         of the limit: Luthier, PyTorch |\n| --- | --- | --- | --- | --- | --- | --- |\n"
    );
    for line in lines {
        let (mine, flops) = (line.luthier.median(), number(line.flops / 1e6));
        let (theirs, ratio, share) = match &line.pytorch {
            Some((name, figures)) => {
                let theirs = figures.median();
                let ratio = format!("{:.2}", mine / theirs);
                (format!("{}, {name}", figures.text()), ratio, format!(", {}", line.share(theirs)))
            }
            None => (String::new(), String::new(), String::new()),
        };
        text += &format!(
            "| {} | {} | {flops} | {} | {theirs} | {ratio} | {}{share} |\n",
            line.what,
            line.threads,
            line.luthier.text(),
            line.share(mine)
        );
    }
    let mut notes = String::new();
    for line in lines {
        if let Some(others) = line.others.filter(|others| *others > QUIET) {
            notes += &format!("- {}: other programs used {:.0}% of the machine\n", line.what, 100.0 * others);
        }
        for note in &line.notes {
            notes += &format!("- {}: {note}\n", line.what);
        }
    }
    if notes.is_empty() { text } else { format!("{text}\n{notes}") }
}

/// Puts `text` between the markers `<!-- name -->` and `<!-- end -->` of a page.
pub(crate) fn put(page: &Path, name: &str, text: &str) -> Result<()> {
    let old = std::fs::read_to_string(page)?;
    let (begin, end) = (format!("<!-- {name} -->\n"), "<!-- end -->");
    let place = || format!("{} has no place for the table {name}", page.display());
    let from = old.find(&begin).with_context(place)? + begin.len();
    let to = from + old[from..].find(end).with_context(place)?;
    std::fs::write(page, format!("{}\n{text}\n{}", &old[..from], &old[to..]))?;
    Ok(())
}
