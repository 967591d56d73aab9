//! Study files: the sections of all crates together, checked as a whole.

mod criteria;
mod guidance;
mod loaded;
mod population;
mod task;
mod text;
mod warm;

use std::path::{Path, PathBuf};
use std::time::Duration;

use luthier_core::config::{Fields, Kind, Node, Problems, Template, bounds};
use luthier_core::{Criteria, Direction, History, Params, Purpose, Search, Space, Streams};
use luthier_search::pruner::Median;
use luthier_search::{PrunerConfig, SamplerConfig};
use thiserror::Error;

pub use criteria::OneOrMore;
pub use loaded::{LoadError, Loaded, Training};
pub use task::Task;
pub use text::difference;
use text::{apply_sets, check_names, without_limits};
pub use warm::WarmStartError;

luthier_core::settings! {
    /// The section `[study]`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct StudySection {
        /// The study's name, unique in its storage.
        name: String;
        /// The metric to tune: "val_" or "train_" and a metric, such as "val_accuracy" or "val_f1_macro", or
        /// a cost such as "latency_ms". "val_accuracy" for classes and "val_rmse" for numbers if left out. With
        /// `[command]`, whatever the program calls it. A list of several, such as ["val_accuracy", "epoch_seconds"], seeks
        /// the best compromises between them; each trial counts with the epoch that is best by the first.
        objective: Option<OneOrMore> = None;
        /// "minimize" or "maximize", for several objectives a list; the metric implies it. To be given where `[command]`
        /// reports something that is none of Luthier's metrics.
        direction: Option<OneOrMore> = None;
        /// The value that is good enough: the study stops there.
        target: Option<f64> = None;
    }
}

luthier_core::settings! {
    /// The section `[search]`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct SearchSection {
        /// What chooses configurations: the name of a kind, or a table with settings.
        sampler: SamplerConfig = SamplerConfig::Auto;
        /// What has to hold: of parameters, such as "train.batch_size * model.layers.dense1.dense <= 4096", or of metrics at
        /// the epoch that counts, such as "weights <= 100000". Configurations that break the former are not tried, trials
        /// that miss the latter cannot win.
        constraints: Vec<String> = Vec::new();
        /// What stops trials that cannot win: the name of a kind, or a table with settings. "none" with the samplers "pbt"
        /// and "pb2". Where time is the limit and not the number of trials, "asha" gives far more for it.
        pruner: PrunerConfig = PrunerConfig::Median(Median::default());
        /// Configurations to try; 100 if neither they nor a timeout are given. A population ends by itself.
        trials: Option<u64> = None, bounds::COUNT;
        /// Time for everything, the final evaluation included: "90s", "10m", "2h".
        timeout: Option<Duration> = None;
        /// Trials at once, each with one thread. In an ordered study it changes the speed and nothing else.
        parallel: usize = 1, bounds::AT_LEAST_ONE;
        /// Trials that are under way at once by the study's logical clock, which the result depends on; as many as
        /// `parallel` when the study begins, if left out. Four to eight times as many as workers keep nearly all
        /// of them busy where trials differ in length.
        slots: Option<u64> = None, bounds::COUNT;
        /// "ordered": proposals and decisions follow the logical clock, so that the result does not depend on
        /// the number or the speed of workers. "free": whatever comes first counts first.
        order: String = "ordered".to_owned();
        /// The seed of every draw of the study.
        seed: u64 = 0;
        /// Configurations to begin with, by the paths of the ranges: [{ "train.optimizer.adam.learning_rate" = 1e-3 }, ...].
        /// What one leaves out is chosen by the sampler, as constraints allow. A population takes as many as it has members.
        enqueue: Vec<Params> = Vec::new();
        /// Earlier studies in the same storage, whose best configurations are begun with: ["STUDY", ...]. Values of
        /// parameters that are not in this file, outside its ranges, or that break its constraints are left out.
        warm_start: Vec<String> = Vec::new();
    }
}

luthier_core::settings! {
    /// The section `[trial]` of a filled-in file.
    #[derive(Debug, Clone, PartialEq)]
    pub struct TrialSection {
        /// The seed of the trial's own draws.
        seed: u64;
        /// What a trial that was forked has behind it, the earliest first: it is trained so before it is trained by the
        /// rest of the file.
        before: Vec<PieceSettings> = Vec::new();
    }
}

luthier_core::settings! {
    /// A piece of a training whose values changed on the way.
    #[derive(Debug, Clone, PartialEq)]
    pub struct PieceSettings {
        /// The report, counted from the beginning of the training, with which it ends.
        until: u64, bounds::COUNT;
        /// The seed of its draws.
        seed: u64;
        /// Values that were others than the file's, as PATH=VALUE.
        set: Vec<String> = Vec::new();
    }
}

/// Trials where a file says nothing.
const DEFAULT_TRIALS: u64 = 100;

/// A study file that has been checked.
#[derive(Debug, Clone)]
pub struct StudyFile {
    /// The file.
    pub path: PathBuf,
    /// The section `[study]`.
    pub study: StudySection,
    /// The section `[search]`.
    pub search: SearchSection,
    /// The section `[trial]`.
    pub trial: Option<TrialSection>,
    /// What its trials run.
    pub task: Task,
    /// Further objectives, and constraints on results.
    pub criteria: Criteria,
    /// The configurations that its search begins with, as values of its ranges.
    starts: Vec<Params>,
    root: Node,
    template: Template,
    /// That of the template, with the constraints on parameters.
    space: Space,
}

/// Why a study file cannot be used.
#[derive(Debug, Error)]
pub enum StudyFileError {
    /// It cannot be read.
    #[error("cannot read the study file {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// What it says is wrong.
    #[error(transparent)]
    Problems(#[from] Problems),
}

/// One filled-in file, all sections.
struct Sections {
    study: StudySection,
    search: SearchSection,
    trial: Option<TrialSection>,
    task: Task,
}

impl Sections {
    fn read(file: &Node, problems: &mut Problems) -> Option<Self> {
        let sections = Fields::open(file, "", problems)?;
        let study: Option<StudySection> = sections.required("study", problems);
        let task = Task::read(file, &sections, problems);
        let search = sections.or("search", luthier_core::config::defaults, problems);
        let trial = sections.or("trial", || None, problems);
        let known: Vec<&str> =
            ["study"].iter().chain(Task::sections(file)).chain(&["search", "trial"]).copied().collect();
        sections.close(&known, problems);
        Some(Self { study: study?, search: search?, trial: trial?, task: task? })
    }
}

impl StudyFile {
    /// Reads and checks a study file, with `sets` (`PATH=VALUE`) put into it first.
    ///
    /// # Errors
    ///
    /// [`StudyFileError`] with everything that is wrong.
    pub fn open(path: &Path, sets: &[String]) -> Result<Self, StudyFileError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| StudyFileError::Read { path: path.display().to_string(), source })?;
        Ok(Self::parse(&text, path, sets)?)
    }

    /// Checks the text of a study file. `path` is where it stands: data is looked for from there.
    ///
    /// # Errors
    ///
    /// Everything that is wrong.
    pub fn parse(text: &str, path: &Path, sets: &[String]) -> Result<Self, Problems> {
        let name = path.display().to_string();
        let mut root = Node::parse(text, &name)?;
        apply_sets(&mut root, sets)?;
        let mut problems = Problems::new(&name);
        let template = Template::compile(&root, Task::policy(&root), &mut problems);
        let mut first = None;
        for corner in template.space().corners() {
            match template.fill(&corner) {
                Ok(filled) => {
                    let sections = Sections::read(&filled, &mut problems);
                    first = first.or(sections);
                }
                // With a broken range, what refers to it cannot be filled in either.
                Err(_) if !problems.is_empty() => {}
                Err(reason) => problems.add(0, "", "ranges that fit together", reason),
            }
        }
        check_names(&root, &mut problems);
        if let Some(sections) = &first {
            population::check(&root, &sections.search, &template, &mut problems);
            task::refuse_wilcoxon(&root, &mut problems);
        }
        let task = first.as_mut().map(|sections: &mut Sections| &mut sections.task);
        Task::complete(task, &root, &template, &mut problems);
        let (criteria, space) = criteria::read(&root, &template, Task::is_command(&root), &mut problems);
        let starts = guidance::starts(&root, (&template, &space), &mut problems);
        if let Some(sections) = &first {
            guidance::check(&root, &sections.search.sampler, (&template, &space), &mut problems);
            population::check_space(&root, &sections.search, (&template, &space), &criteria, &mut problems);
        }
        let sections = problems.or(first)?;
        let file = Self {
            path: path.to_path_buf(),
            study: sections.study,
            search: sections.search,
            trial: sections.trial,
            task: sections.task,
            criteria,
            starts,
            root,
            template,
            space,
        };
        file.rehearse().map(|()| file)
    }

    /// Makes sure that there is something to try beside constraints on parameters.
    fn rehearse(&self) -> Result<(), Problems> {
        if self.space.constraints().is_empty() {
            return Ok(());
        }
        let history =
            History::new(Direction::Minimize).with_steps(Some(1)).with_criteria(self.criteria.clone());
        let mut rng = Streams::new(self.search.seed).at(Purpose::Sampler, 0);
        let next = self.make_search().and_then(|search| {
            search.next(&history.view(), &self.space, &mut rng).map_err(|error| error.to_string())
        });
        let mut problems = Problems::new(self.path.display().to_string());
        if let Err(reason) = next {
            let list = self.root.get("search").and_then(|search| search.get("constraints"));
            let line = list.map_or(0, |list| list.line);
            problems.add(
                line,
                "search.constraints",
                "constraints that something of the ranges keeps",
                reason,
            );
        }
        problems.or(Some(()))
    }

    /// Whether its trials run a program.
    pub fn is_command(&self) -> bool {
        matches!(self.task, Task::Command { .. })
    }

    /// What its trials count: epochs, or the steps of a program.
    pub fn unit(&self) -> &'static str {
        if self.is_command() { "step" } else { "epoch" }
    }

    /// The space of the file's ranges.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// The line of a parameter's range in the file.
    pub fn line(&self, param: &str) -> Option<usize> {
        self.template.line(param)
    }

    /// The file as it was read, with what was set.
    pub fn text(&self) -> String {
        self.root.to_toml()
    }

    /// The file without what may change while a study goes on: the limits.
    pub fn identity(&self) -> String {
        without_limits(&self.root).to_toml()
    }

    /// The file with the values of a trial in the places of the ranges, and its seed: what repeats the trial.
    ///
    /// # Errors
    ///
    /// If `params` are not of this file's space.
    pub fn filled(&self, params: &Params, seed: u64) -> Result<String, String> {
        Ok(self.filled_node(params, seed)?.to_toml())
    }

    /// The same as a tree.
    ///
    /// # Errors
    ///
    /// As [`StudyFile::filled`].
    pub fn filled_node(&self, params: &Params, seed: u64) -> Result<Node, String> {
        let mut file = self.template.fill(params)?;
        file.set("trial", Node::new(Kind::Table(indexmap::IndexMap::new())))?;
        file.set("trial.seed", Node::new(Kind::Int(seed as i64)))?;
        Ok(file)
    }

    /// The number of configurations to try, if there is one.
    pub fn trials(&self) -> Option<u64> {
        match (self.search.trials, self.search.timeout) {
            // A population ends by itself.
            (None, None) if self.search.sampler.population().is_some() => None,
            (None, None) => Some(DEFAULT_TRIALS),
            (trials, _) => trials,
        }
    }

    /// The slots of a study that begins with this file; nothing in free order.
    pub fn slots(&self) -> Option<u32> {
        let slots = self.search.slots.unwrap_or(self.search.parallel as u64);
        (self.search.order != "free").then(|| u32::try_from(slots).unwrap_or(u32::MAX))
    }

    /// The search that the file asks for.
    ///
    /// # Errors
    ///
    /// If scientific parameters cannot be compared, which [`StudyFile::parse`] has made sure of.
    pub fn make_search(&self) -> Result<Box<dyn Search>, String> {
        let sampler = population::resolved(&self.search.sampler, &self.template);
        let search = sampler.search(&self.search.pruner, &self.space, self.starts.clone());
        Ok(Box::new(search.map_err(|error| error.message)?))
    }

    /// The file as it was in a piece of a training whose values changed on the way.
    ///
    /// # Errors
    ///
    /// What is wrong with it then.
    pub fn piece(&self, piece: &PieceSettings) -> Result<Self, Problems> {
        let mut root = self.root.clone();
        if let Kind::Table(sections) = &mut root.kind {
            sections.shift_remove("trial");
        }
        let sets: Vec<String> = [&piece.set[..], &[format!("trial.seed={}", piece.seed)]].concat();
        Self::parse(&root.to_toml(), &self.path, &sets)
    }

    /// The folder of the file.
    pub fn folder(&self) -> &Path {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }
}
