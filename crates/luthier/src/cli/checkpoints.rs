//! The folder of checkpoints of one training run.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use luthier_core::Direction;
use luthier_train::CheckpointRule;

use super::Failure;

/// Work that may be lost with the process before a checkpoint is worth its writing.
const EVERY: Duration = Duration::from_secs(10);

const LAST: &str = "last.checkpoint";
const BEST: &str = "best.checkpoint";

/// The file of the report of this number. The names have the order of the numbers.
fn report_name(number: u64) -> String {
    format!("report-{number:06}.checkpoint")
}

/// A folder with `last.checkpoint`, `best.checkpoint`, and `report-000010.checkpoint` for those that are
/// kept by rule.
pub(crate) struct Checkpoints {
    folder: PathBuf,
    rule: CheckpointRule,
    direction: Direction,
    saved: Instant,
    /// A report of which no checkpoint has been written: its number, and whether it is the best.
    report: Option<(u64, bool)>,
    best: Option<f64>,
}

impl Checkpoints {
    /// Makes the folder. `best` is the best value of the run so far, if it is one that goes on.
    pub(crate) fn new(
        folder: &Path,
        rule: &CheckpointRule,
        direction: Direction,
        best: Option<f64>,
    ) -> Result<Self, Failure> {
        fs::create_dir_all(folder).map_err(|error| {
            Failure::failed(format!("cannot make the folder {} for checkpoints: {error}", folder.display()))
        })?;
        let (folder, rule) = (folder.to_owned(), rule.clone());
        // In another folder than before, the next report is the best one that it has.
        let best = best.filter(|_| folder.join(BEST).exists());
        Ok(Self { folder, rule, direction, saved: Instant::now(), report: None, best })
    }

    /// That a new run may write to `folder`: it holds no checkpoint of another one.
    pub(crate) fn refuse_used(folder: &Path) -> Result<(), Failure> {
        let last = folder.join(LAST);
        if !last.exists() {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "{} is of another run, and would be written over; go on from it with --resume {}, or name another folder",
            last.display(),
            folder.display()
        )))
    }

    /// The bytes of a checkpoint: those of `path`, or of the last one in it.
    pub(crate) fn read(path: &Path) -> Result<(PathBuf, Vec<u8>), Failure> {
        let file = if path.is_dir() { path.join(LAST) } else { path.to_owned() };
        match fs::read(&file) {
            Ok(bytes) => Ok((file, bytes)),
            Err(error) => Err(Failure::usage(format!(
                "cannot read the checkpoint {}: {error}; `luthier train FILE --checkpoint DIR` writes some",
                file.display()
            ))),
        }
    }

    /// Takes note of a report.
    pub(crate) fn reported(&mut self, number: u64, value: f64) {
        let best = self.best.is_none_or(|best| self.direction.better(value, best));
        if best {
            self.best = Some(value);
        }
        self.report = Some((number, best));
    }

    /// Whether one is to be written now.
    pub(crate) fn is_due(&self) -> bool {
        self.report.is_some() || self.saved.elapsed() >= EVERY
    }

    /// Writes a checkpoint, and removes old ones.
    pub(crate) fn save(&mut self, checkpoint: &[u8]) -> Result<(), String> {
        self.write(LAST, checkpoint)?;
        if let Some((number, best)) = self.report.take() {
            if best {
                self.write(BEST, checkpoint)?;
            }
            if self.rule.every.is_some_and(|every| number % every == 0) {
                self.write(&report_name(number), checkpoint)?;
                self.remove_old(number)?;
            }
        }
        self.saved = Instant::now();
        Ok(())
    }

    /// Under another name first, so that the file is whole whenever the process ends.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), String> {
        // One name for all, so that a process which was killed here leaves nothing that stays.
        let (path, new) = (self.folder.join(name), self.folder.join("checkpoint.new"));
        let write = || {
            let mut file = fs::File::create(&new)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&new, &path)
        };
        write().map_err(|error: std::io::Error| {
            let _ = fs::remove_file(&new);
            format!("cannot write the checkpoint {}: {error}", path.display())
        })
    }

    /// Removes what the rule does not keep after report `last`: the oldest reports, and those of a run that
    /// was in this folder before and went further.
    fn remove_old(&self, last: u64) -> Result<(), String> {
        let failed = |error: std::io::Error| {
            format!("cannot remove old checkpoints in {}: {error}", self.folder.display())
        };
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if let Some(name) = name.to_str()
                && name.starts_with("report-")
                && name.ends_with(".checkpoint")
            {
                kept.push(name.to_owned());
            }
        }
        kept.sort_unstable();
        let ahead = kept.partition_point(|name| *name <= report_name(last));
        let surplus = ahead.saturating_sub(self.rule.keep);
        let old = kept[..surplus].iter().chain(&kept[ahead..]);
        old.into_iter().try_for_each(|name| fs::remove_file(self.folder.join(name)).map_err(failed))
    }
}
