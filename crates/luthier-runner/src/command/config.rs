//! The section `[command]`.

use std::time::Duration;

use luthier_core::config::{Bound, Decode, Kind, Node, Problem, Problems, bounds, nearest};
use regex::Regex;

use super::program;
use super::values::Values;
use super::word::{self, WordError};

luthier_core::settings! {
    /// A program as the objective, in any language. It is started once for each trial, in the folder of the study
    /// file, and ended with all processes that it has started.
    #[derive(Debug, Clone, PartialEq)]
    pub struct CommandConfig {
        /// The program and its arguments, each a text of its own; no shell reads them. `{NAME}` is the value of `NAME` in
        /// `[params]`, `{{` and `}}` are braces. A program without a `/` is looked for on the `PATH`, else from the
        /// folder of the study file.
        run: Vec<String>;
        /// How results are read from its standard output.
        report: ReportConfig = ReportConfig::Json;
        /// Steps of a trial that runs its whole length, which `asha` makes its rungs of, and `pbt` its
        /// generations; not known if left out.
        steps: Option<u64> = None, bounds::COUNT;
        /// Whether the program goes on from what it finds in its checkpoint folder. Only then can a trial pause (`asha`),
        /// begin with the checkpoint of another one (`pbt`), or go on where an interruption broke it off.
        resumes: bool = false;
        /// Time between SIGTERM, which asks the program to end, and SIGKILL, which ends it.
        grace: Duration = Duration::from_secs(10);
        /// Longest time of a trial, its pauses left out; one that takes longer fails.
        time_limit: Option<Duration> = None;
        /// Most memory of the program and all processes that it has started, together; a trial that takes more
        /// fails. Measured five times a second, on Linux; pages that processes share count once.
        memory_limit: Option<ByteSize> = None, POSITIVE_SIZE;
        /// Most that is kept of a trial's standard output, and as much of its standard error; of more the
        /// beginning and the end are kept.
        log_limit: ByteSize = ByteSize(1_000_000), POSITIVE_SIZE;
    } check Self::check
}

luthier_core::settings! {
    /// Lines that a regular expression finds.
    #[derive(Debug, Clone, PartialEq)]
    pub struct RegexReport {
        /// The expression, in the syntax of the Rust crate `regex`. The group `(?P<value>…)` is the objective and has to be
        /// there, the group `step` is the step, and every other named group that holds a number is a metric.
        pattern: String;
    } check Self::check
}

luthier_core::kinds! {
    /// How results are read from the standard output of a program. NaN and Infinity are numbers.
    #[derive(Debug, Clone, PartialEq)]
    pub enum ReportConfig("how results are read") {
        /// Lines that are JSON objects with the key that `objective` of `[study]` names: `{"step": 3, "val_loss": 0.2}`.
        /// Steps count from 1 and rise; without `step` the lines are counted. Other keys that are numbers become metrics.
        /// All other lines are output like any other.
        "json" => Json,
        /// Lines in which a regular expression finds something: for programs that cannot be changed.
        "regex" => Regex(RegexReport),
    }
}

const POSITIVE_SIZE: Bound<ByteSize> =
    Bound { expected: "a size above 0, such as \"512MB\" or \"2GB\"", holds: |size| size.0 > 0 };

/// A number of bytes, in a file `"512MB"`, `"2GB"` or `"2GiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteSize(pub u64);

const UNITS: &[(&str, u64)] = &[
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

impl std::fmt::Display for ByteSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whole = UNITS.iter().filter(|(_, size)| self.0.is_multiple_of(*size));
        let (name, size) = whole.min_by_key(|(_, size)| self.0 / size).copied().unwrap_or(("B", 1));
        write!(f, "{}{name}", self.0 / size)
    }
}

impl Decode for ByteSize {
    const EXPECTED: &'static str = "a size such as \"512MB\", \"2GB\" or \"2GiB\"";

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        let read = |text: &str| {
            let text = text.trim();
            let (unit, size) = UNITS.iter().find(|(unit, _)| text.ends_with(unit))?;
            let number: f64 = text.strip_suffix(unit)?.trim().parse().ok()?;
            let bytes = number * *size as f64;
            (bytes.is_finite() && bytes >= 0.0).then_some(Self(bytes as u64))
        };
        let size = node.as_str().and_then(read);
        if size.is_none() {
            problems.add(node.line, path, Self::EXPECTED, node.describe());
        }
        size
    }

    fn written(&self) -> Option<String> {
        Some(format!("\"{self}\""))
    }
}

impl RegexReport {
    fn check(&self, node: &Node, path: &str, problems: &mut Problems) {
        let node = node.get("pattern").unwrap_or(node);
        let path = format!("{path}.pattern");
        match Regex::new(&self.pattern) {
            Err(error) => {
                // The last line says what is wrong; those before show the place with a mark below it.
                let reason = error.to_string();
                let reason =
                    reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                problems.add(
                    node.line,
                    &path,
                    "a regular expression",
                    format!("{}: {reason}", node.describe()),
                );
            }
            Ok(regex) if !regex.capture_names().flatten().any(|name| name == "value") => {
                problems.push(Problem {
                    line: (node.line > 0).then_some(node.line),
                    path,
                    expected: "a regular expression with the group `(?P<value>…)`".to_owned(),
                    found: node.describe(),
                    help: Some("put the part that is the objective into that group".to_owned()),
                });
            }
            Ok(_) => {}
        }
    }
}

impl CommandConfig {
    fn check(&self, node: &Node, path: &str, problems: &mut Problems) {
        if self.run.first().is_none_or(|program| program.trim().is_empty()) {
            let node = node.get("run").unwrap_or(node);
            problems.add(node.line, &format!("{path}.run"), "a program and its arguments", node.describe());
        }
        if self.memory_limit.is_some() && !cfg!(target_os = "linux") {
            let node = node.get("memory_limit").unwrap_or(node);
            let path = format!("{path}.memory_limit");
            problems.add(node.line, &path, "no limit: memory is measured on Linux alone", node.describe());
        }
    }

    /// Checks the words of `run` against the filled-in section `[params]`; `file` is the whole file.
    pub fn check_words(&self, file: &Node, problems: &mut Problems) {
        let params = file.get("params");
        let values = Values::of(params);
        if let Err((name, other)) = values.variables() {
            problems.add(
                params.and_then(|params| params.get(&name)).map_or(0, |node| node.line),
                &format!("params.{name}"),
                "a name of its own as an environment variable",
                format!("the same one as {other}: {}", super::values::variable(&name)),
            );
        }
        let items = match file.get("command").and_then(|command| command.get("run")).map(|run| &run.kind) {
            Some(Kind::Array(items)) => items.as_slice(),
            _ => &[],
        };
        for (number, text) in self.run.iter().enumerate() {
            let line = items.get(number).map(|item| item.line).filter(|line| *line > 0);
            let Err(error) = word::fill(text, |name| values.text(name)) else { continue };
            let (expected, help) = match &error {
                WordError::Unknown(name) if values.is_empty() => {
                    (format!("`{{{name}}}` to be a value of [params], which is empty"), None)
                }
                WordError::Unknown(name) => (
                    format!("a value that [params] has in every case: {}", values.names().join(", ")),
                    nearest(name, values.names()).map(|near| format!("did you mean `{{{near}}}`?")),
                ),
                WordError::Brace => (
                    "`{NAME}` for a value of [params]".to_owned(),
                    Some("a brace itself is written twice: `{{`, `}}`".to_owned()),
                ),
            };
            problems.push(Problem {
                line,
                path: format!("command.run.{}", number + 1),
                expected,
                found: format!("{text:?}"),
                help,
            });
        }
    }

    /// Checks that the program is there; `file` is the whole file, filled in, and `folder` where it stands.
    pub fn check_program(&self, file: &Node, folder: &std::path::Path, problems: &mut Problems) {
        let values = Values::of(file.get("params"));
        let Some(Ok(name)) = self.run.first().map(|text| word::fill(text, |name| values.text(name))) else {
            return;
        };
        if let Err(reason) = program::find(&name, folder) {
            let line = file.get("command").and_then(|command| command.get("run")).map_or(0, |run| run.line);
            problems.add(line, "command.run", "a program that can be started", reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        let read = |text: &str| {
            let mut problems = Problems::new("");
            ByteSize::decode(&Node::new(Kind::Text(text.to_owned())), "", &mut problems)
        };
        for (text, bytes) in [("512MB", 512_000_000), ("1.5 GB", 1_500_000_000), ("2KiB", 2048), ("7B", 7)] {
            assert_eq!(read(text), Some(ByteSize(bytes)), "{text}");
        }
        for text in ["", "12", "MB", "-1MB", "2 TB", "1e400GB"] {
            assert_eq!(read(text), None, "{text}");
        }
        for text in ["512MB", "2KiB", "7B", "3GB"] {
            assert_eq!(read(text).map(|size| size.to_string()).as_deref(), Some(text));
        }
    }
}
