//! Studies of Optuna (<https://optuna.org>): read from its SQLite databases and journals, and written as a database
//! that its library and dashboard open.
//!
//! [`import`] reads either kind of file, [`export`] writes the tables of Optuna 5. What the two programs have in common
//! goes from one to the other as it is: names, ranges, values, reports, states, times. The rest is attributes: what
//! Optuna keeps of a study or a trial is kept ([`luthier_core::Attributes`]) and handed back, and what Luthier knows
//! beyond Optuna stands in user attributes that begin with `luthier:`.
//!
//! | Optuna | Luthier |
//! | --- | --- |
//! | `COMPLETE` | complete; with an infinite value failed, since values are finite here |
//! | `PRUNED` | stopped on request, or for the reason in `luthier:outcome` |
//! | `FAIL` | failed, or infeasible by `luthier:outcome` |
//! | `RUNNING` | running, or paused by `luthier:paused`: unfinished |
//! | `WAITING` | nothing: what has not begun is no trial |
//! | a parameter with different ranges | each trial keeps its own; of choices, Optuna gets one with all options |
//! | the option null | the text "none" |

mod database;
mod distribution;
mod export;
mod import;
mod journal;
mod json;
mod time;
mod write;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use indexmap::IndexMap;
use luthier_core::{Attributes, Direction, Distribution, StorageError, Value};

pub use export::export;
pub use import::{Imported, import};

/// The system attribute in which Optuna keeps the names of the objectives.
const METRIC_NAMES: &str = "study:metric_names";

/// The system attribute of a trial in which Optuna keeps its constraints: a list of numbers, kept where at most 0.
const CONSTRAINTS: &str = "constraints";

/// Attributes of Luthier's in an exported study: each a name and what it holds, as JSON.
mod own {
    /// The program that made the study.
    pub(super) const PROGRAM: &str = "luthier:program";
    /// The study file's text.
    pub(super) const FILE: &str = "luthier:file";
    /// The seed of a study or of a trial.
    pub(super) const SEED: &str = "luthier:seed";
    /// Further objectives and constraints.
    pub(super) const CRITERIA: &str = "luthier:criteria";
    /// The reports of a whole trial.
    pub(super) const STEPS: &str = "luthier:steps";
    /// Why a trial ended, for a person.
    pub(super) const CAUSE: &str = "luthier:cause";
    /// How a trial ended.
    pub(super) const OUTCOME: &str = "luthier:outcome";
    /// The checkpoint of another trial that a trial began with.
    pub(super) const FROM: &str = "luthier:from";
    /// What set a trial aside.
    pub(super) const PAUSED: &str = "luthier:paused";
    /// What was measured beside the objective, by step.
    pub(super) const METRICS: &str = "luthier:metrics";
    /// What was measured on the test set.
    pub(super) const TEST: &str = "luthier:test";
}

/// A study in Optuna's terms.
#[derive(Debug, Clone, PartialEq)]
struct Frozen {
    name: String,
    direction: Direction,
    /// Of the objectives behind the first one.
    further: Vec<Direction>,
    attributes: Attributes,
    /// By number.
    trials: Vec<FrozenTrial>,
}

/// A trial in Optuna's terms.
#[derive(Debug, Clone, PartialEq)]
struct FrozenTrial {
    number: i64,
    state: State,
    value: Option<f64>,
    /// The values of the objectives behind the first one.
    further: Vec<f64>,
    params: IndexMap<String, (Distribution, Value)>,
    reports: BTreeMap<u64, f64>,
    attributes: Attributes,
    started_us: Option<i64>,
    ended_us: Option<i64>,
}

/// The states of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Waiting,
    Complete,
    Pruned,
    Fail,
}

impl State {
    /// The names in the tables; in a journal a state is its place in this list.
    const NAMES: [(&str, Self); 5] = [
        ("RUNNING", Self::Running),
        ("COMPLETE", Self::Complete),
        ("PRUNED", Self::Pruned),
        ("FAIL", Self::Fail),
        ("WAITING", Self::Waiting),
    ];

    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, state)| *state == self).map_or("FAIL", |(name, _)| name)
    }

    fn is_finished(self) -> bool {
        matches!(self, Self::Complete | Self::Pruned | Self::Fail)
    }
}

impl FrozenTrial {
    /// A trial of which nothing more is known.
    fn new(number: i64, state: State) -> Self {
        Self {
            number,
            state,
            value: None,
            further: Vec::new(),
            params: IndexMap::new(),
            reports: BTreeMap::new(),
            attributes: Attributes::default(),
            started_us: None,
            ended_us: None,
        }
    }
}

/// A study that was read, where it comes from, and what a person should know about that.
struct Source {
    study: Frozen,
    from: String,
    notices: Vec<String>,
}

/// An error at a place of a file: a row or a line.
fn wrong(path: &Path, place: &str, what: impl std::fmt::Display) -> StorageError {
    let place =
        if place.is_empty() { path.display().to_string() } else { format!("{}, {place}", path.display()) };
    StorageError::Corrupt { place, what: what.to_string() }
}

/// The kinds of files that Optuna writes.
enum Kind {
    Database,
    Journal,
}

impl Kind {
    /// The kind of the file at `path`, by its first bytes.
    fn of(path: &Path) -> Result<Self, StorageError> {
        let shown = path.display().to_string();
        if let Some((scheme, _)) = shown.split_once("://") {
            let what = format!(
                "expected an SQLite file or a journal of Optuna, found the address of a {scheme} server; copy the study \
                 to a file first, with `optuna.copy_study`"
            );
            return Err(StorageError::Corrupt { place: format!("{scheme}://…"), what });
        }
        let mut start = Vec::new();
        let file = std::fs::File::open(path).and_then(|file| file.take(4_096).read_to_end(&mut start));
        file.map_err(|error| wrong(path, "", format!("the file cannot be read ({error})")))?;
        if start.starts_with(b"SQLite format 3\0") {
            return Ok(Self::Database);
        }
        let first = start.iter().copied().find(|byte| !byte.is_ascii_whitespace());
        if first == Some(b'{') {
            return Ok(Self::Journal);
        }
        let found = if first.is_none() { "an empty file" } else { "a file of another kind" };
        Err(wrong(path, "", format!("expected an SQLite database or a journal of Optuna, found {found}")))
    }
}

/// Of the studies of a file the one that is meant: the named one, or the only one. Gives its place in the list.
fn choose(path: &Path, names: &[&str], wanted: Option<&str>) -> Result<usize, StorageError> {
    let list = || {
        let shown: Vec<String> = names.iter().take(20).map(|name| format!("`{name}`")).collect();
        let more = names.len().saturating_sub(20);
        shown.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
    };
    match (names, wanted) {
        ([], _) => Err(wrong(path, "", "there is no study in it")),
        (_, Some(wanted)) => names.iter().position(|name| *name == wanted).ok_or_else(|| {
            wrong(path, "", format!("there is no study `{wanted}` in it; there is {}", list()))
        }),
        ([_], None) => Ok(0),
        (_, None) => Err(wrong(
            path,
            "",
            format!("there are {} studies in it: {}; name one with `--study`", names.len(), list()),
        )),
    }
}

/// The direction of the first objective of a study, and those of the others.
fn direction(
    path: &Path,
    name: &str,
    directions: &[Option<Direction>],
) -> Result<(Direction, Vec<Direction>), StorageError> {
    let all: Option<Vec<Direction>> = directions.iter().copied().collect();
    match all.as_deref() {
        Some([first, further @ ..]) => Ok((*first, further.to_vec())),
        _ => Err(wrong(path, "", format!("the study `{name}` has no direction"))),
    }
}
