//! Work on the study of a file: what `tune` and `worker` have in common.

use std::collections::BTreeSet;
use std::sync::Arc;

use luthier::{Loaded, PROGRAM, StudyFile, difference, this_process};
use luthier_core::{
    Event, History, Search, SessionRecord, Stop, Storage, StorageError, Study, StudyDefinition, TrialId,
};
use luthier_runner::{Interrupt, Ledger, Limits, Observer, Session, Trials};

use super::notices::tell_notices;
use super::output::tell;
use super::{Failure, program};

/// A study of a file, with its data, ready to be worked on.
pub(super) struct Work {
    pub(super) file: StudyFile,
    pub(super) loaded: Loaded,
    pub(super) ledger: Ledger,
    data: String,
}

impl Work {
    /// Opens the study, and creates it where there is none. One that another file, other data, another program or
    /// another class of machines has worked on is refused, but for `force`.
    pub(super) fn open(
        file: StudyFile,
        loaded: Loaded,
        storage: Arc<dyn Storage>,
        force: bool,
    ) -> Result<Self, Failure> {
        let data = loaded.fingerprint()?;
        let before = storage.study(&file.study.name)?;
        let stored = before.as_ref().and_then(|study| study.definition.file.as_deref());
        let file = file.warmed(&*storage, stored).map_err(Failure::usage)?;
        let study = open_study(&*storage, &file, &loaded, &data)?;
        let loaded = program::keeping_output(loaded, &storage, study.id);
        let ledger = Ledger::open(storage, study)?;
        if !force {
            refuse_changes(ledger.history(), &file, &data, loaded.class().as_deref())?;
        }
        if let Loaded::Training(training) = &loaded {
            tell_notices(&training.experiment, &file.space().corners()[0])?;
        }
        if let Some(slots) = ledger.study().definition.slots
            && (slots as usize) < file.search.parallel
        {
            tell(&format!(
                "the study has {slots} slot{}: so many trials run at once, and the other workers are idle",
                if slots == 1 { "" } else { "s" }
            ));
        }
        Ok(Self { file, loaded, ledger, data })
    }

    /// Tells workers by which file and up to how many trials they are to work, without working.
    pub(super) fn announce(&mut self, trials: Trials) -> Result<(), Failure> {
        let record = self.record();
        let session = self.ledger.begin(&record, trials)?;
        self.ledger.turn(|ledger| {
            let at = ledger.history().last_moment();
            ledger.add(Event::SessionEnded { session, cause: Stop::Interrupted, at })
        })?;
        Ok(())
    }

    fn record(&self) -> SessionRecord {
        SessionRecord {
            program: PROGRAM.to_owned(),
            worker: Some(this_process()),
            file: Some(self.file.text()),
            data: Some(self.data.clone()),
            class: self.loaded.class(),
        }
    }

    /// Works until a limit is reached, and says which.
    pub(super) fn run(
        self,
        limits: Limits,
        interrupt: Interrupt,
        observer: &dyn Observer,
    ) -> Result<(Stop, StudyFile, Loaded, Ledger), Failure> {
        let search = self.file.make_search().map_err(Failure::usage)?;
        let (stopped, ledger) =
            session(&self.file, &self.loaded, self.record(), &*search, limits, interrupt, observer)
                .run(self.ledger)?;
        Ok((stopped, self.file, self.loaded, ledger))
    }

    /// Runs a trial that a person asked for, and nothing else.
    pub(super) fn run_only(
        self,
        trial: TrialId,
        limits: Limits,
        interrupt: Interrupt,
        observer: &dyn Observer,
    ) -> Result<Ledger, Failure> {
        let search = self.file.make_search().map_err(Failure::usage)?;
        let (_, ledger) =
            session(&self.file, &self.loaded, self.record(), &*search, limits, interrupt, observer)
                .run_only(self.ledger, trial)?;
        Ok(ledger)
    }
}

fn session<'a>(
    file: &'a StudyFile,
    loaded: &'a Loaded,
    record: SessionRecord,
    search: &'a dyn Search,
    limits: Limits,
    interrupt: Interrupt,
    observer: &'a dyn Observer,
) -> Session<'a> {
    let (space, objective) = (file.space(), loaded.as_objective());
    Session { search, space, objective, limits, interrupt, observer, record }
}

/// Classes of machines, for people.
pub(super) fn names_of(classes: &BTreeSet<String>) -> String {
    classes.iter().map(String::as_str).collect::<Vec<_>>().join(" and ")
}

fn open_study(
    storage: &dyn Storage,
    file: &StudyFile,
    loaded: &Loaded,
    data: &str,
) -> Result<Study, Failure> {
    let name = &file.study.name;
    if let Some(study) = storage.study(name)? {
        return Ok(study);
    }
    let definition = StudyDefinition {
        name: name.clone(),
        objective: loaded.objective(),
        direction: loaded.direction(),
        criteria: file.criteria.clone(),
        seed: file.search.seed,
        slots: file.slots(),
        steps: loaded.reports(),
        file: Some(file.text()),
        data: Some(data.to_owned()),
        program: PROGRAM.to_owned(),
    };
    match storage.create_study(&definition) {
        // Another worker was first.
        Err(StorageError::NameTaken(_)) => {
            let study = storage.study(name)?;
            study.ok_or_else(|| Failure::failed(format!("study `{name}` was deleted while it was opened")))
        }
        other => Ok(other?),
    }
}

/// A study whose file, data or program has changed is not continued in silence, nor on machines that compute other bits.
fn refuse_changes(
    history: &History,
    file: &StudyFile,
    data: &str,
    class: Option<&str>,
) -> Result<(), Failure> {
    let Some(last) = history.session() else { return Ok(()) };
    let mut changes = Vec::new();
    if let Some(stored) = &last.file {
        let lines = difference(stored, file);
        if !lines.is_empty() {
            changes.push(format!("the study file:\n    {}", lines.join("\n    ")));
        }
    }
    if last.data.as_deref().is_some_and(|stored| stored != data) {
        changes.push("the data: its contents are not those of before".to_owned());
    }
    if last.program != PROGRAM {
        changes.push(format!("the program: it was {}, it is {PROGRAM}", last.program));
    }
    if let Some(class) =
        class.filter(|class| !history.classes().is_empty() && !history.classes().contains(*class))
    {
        changes.push(format!(
            "the class of the machine: it was {}, it is {class}; the last bits of figures differ between classes",
            names_of(history.classes())
        ));
    }
    if changes.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "study `{}` has {} trials, and this has changed since:\n  {}\ngive the study another name for a fresh \
         start, or go on with --force (limits may be raised freely)",
        file.study.name,
        history.trials().len(),
        changes.join("\n  ")
    )))
}
