//! Where studies are kept, and how one is found there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use luthier::StudyFile;
use luthier_core::config::nearest;
use luthier_core::{History, Storage, Study};
use luthier_runner::read_history;
use luthier_train::data::Progress;

use super::output::tell;
use super::{Failure, StorageArgs, StudyArgs};

/// The storage of a study file: beside it, unless told otherwise.
pub(crate) fn storage_of(file: &StudyFile, args: &StorageArgs) -> Result<Arc<dyn Storage>, Failure> {
    let url = args.storage.clone().unwrap_or_else(|| beside(file.folder()));
    Ok(Arc::from(luthier_storage::open(&url)?))
}

fn beside(folder: &Path) -> String {
    folder.join("luthier.db").display().to_string()
}

/// A storage that has to be there already.
pub(crate) fn existing_storage(args: &StorageArgs) -> Result<Arc<dyn Storage>, Failure> {
    let url = args.storage.clone().unwrap_or_else(|| "luthier.db".to_owned());
    Ok(Arc::from(luthier_storage::open_existing(&url)?))
}

/// The study that is meant: by name in a storage, or by its study file.
pub(crate) fn study(args: &StudyArgs) -> Result<(Arc<dyn Storage>, Study), Failure> {
    let path = PathBuf::from(&args.study);
    let is_file = path.extension().is_some_and(|extension| extension == "toml") && path.exists();
    let (storage, name) = if is_file {
        let file = StudyFile::open(&path, &[])?;
        let url = args.storage.storage.clone().unwrap_or_else(|| beside(file.folder()));
        (Arc::from(luthier_storage::open_existing(&url)?), file.study.name)
    } else {
        (existing_storage(&args.storage)?, args.study.clone())
    };
    if let Some(study) = storage.study(&name)? {
        return Ok((storage, study));
    }
    let names: Vec<String> = storage.studies()?.into_iter().map(|study| study.definition.name).collect();
    let hint = match nearest(&name, names.iter().map(String::as_str)) {
        Some(near) => format!("; did you mean `{near}`?"),
        None if names.is_empty() => "; the storage is empty".to_owned(),
        None => format!("; there is {}", names.join(", ")),
    };
    Err(Failure::failed(format!("there is no study `{name}` in this storage{hint}")))
}

/// The study that is meant, with its history.
pub(crate) fn study_with_history(args: &StudyArgs) -> Result<(Arc<dyn Storage>, Study, History), Failure> {
    let (storage, study) = study(args)?;
    let history = read_history(&*storage, &study)?;
    Ok((storage, study, history))
}

/// The file that a study was begun with, as far as this program can still read it.
pub(crate) fn stored_file(study: &Study) -> Option<StudyFile> {
    StudyFile::parse(study.definition.file.as_deref()?, Path::new("study.toml"), &[]).ok()
}

/// What the trials of a study count.
pub(crate) fn unit_of(study: &Study) -> &'static str {
    stored_file(study).map_or("epoch", |file| file.unit())
}

/// Shows a download on stderr.
pub(crate) fn download_progress() -> impl Fn(&str, u64, Option<u64>) {
    let bar = indicatif::ProgressBar::hidden();
    bar.set_style(
        indicatif::ProgressStyle::with_template("{msg} [{bar:30}] {bytes} of {total_bytes}, {eta} left")
            .unwrap_or_else(|_| indicatif::ProgressStyle::default_bar()),
    );
    let shown = std::cell::Cell::new(false);
    move |what: &str, done: u64, total: Option<u64>| {
        if !shown.replace(true) {
            bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
            if bar.is_hidden() {
                tell(&format!("downloading {what}"));
            }
        }
        bar.set_message(what.to_owned());
        bar.set_length(total.unwrap_or(done));
        bar.set_position(done);
        if total == Some(done) {
            bar.finish_and_clear();
        }
    }
}

/// Calls `work` with the display of downloads.
pub(crate) fn with_progress<T>(work: impl FnOnce(Progress<'_>) -> T) -> T {
    let progress = download_progress();
    work(&progress)
}
