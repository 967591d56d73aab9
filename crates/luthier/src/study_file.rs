//! Study files: the sections of all crates together, checked as a whole.

mod text;

use std::path::{Path, PathBuf};
use std::time::Duration;

use luthier_core::config::{Fields, Node, Policy, Problem, Problems, Template, bounds};
use luthier_core::{Direction, SamplerAndPruner, Search, Space};
use luthier_train::data::{DataError, SplitConfig};
use luthier_train::model::ModelConfig;
use luthier_train::{DataConfig, Device, Experiment, Metric, MetricName, MetricSet, TrainConfig};
use thiserror::Error;

pub use text::difference;
use text::{apply_sets, check_names, identity};

luthier_core::settings! {
    /// The section `[study]`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct StudySection {
        /// The study's name, unique in its storage.
        name: String;
        /// The metric to tune: "val_" or "train_" and a metric, such as "val_accuracy" or "val_f1_macro", or
        /// a cost such as "latency_ms". "val_accuracy" for classes and "val_rmse" for numbers if left out.
        objective: Option<String> = None;
        /// "minimize" or "maximize"; the metric implies it.
        direction: Option<String> = None;
        /// The value that is good enough: the study stops there.
        target: Option<f64> = None;
    }
}

luthier_core::settings! {
    /// The section `[search]`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct SearchSection {
        /// What chooses configurations.
        sampler: String = "auto".to_owned();
        /// What stops trials that cannot win.
        pruner: String = "median".to_owned();
        /// Configurations to try; 100 if neither they nor a timeout are given.
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
    }
}

luthier_core::settings! {
    /// The section `[trial]` of a filled-in file.
    #[derive(Debug, Clone, PartialEq)]
    pub struct TrialSection {
        /// The seed of the trial's own draws.
        seed: u64;
    }
}

/// Trials where a file says nothing.
const DEFAULT_TRIALS: u64 = 100;

/// Where ranges may stand in a study file.
const POLICY: Policy = Policy {
    allowed: &[
        "model",
        "train",
        "data.scale",
        "data.impute",
        "data.missing_flags",
        "data.standardize_target",
        "data.max_words",
        "data.min_count",
        "data.max_length",
        "data.augment",
    ],
    refused: &[("train.epochs", "trials of different length cannot be compared; stop early instead")],
};

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
    /// The section `[data]` at the first corner of the space.
    pub data: DataConfig,
    /// The metric, if the file names it.
    objective: Option<MetricName>,
    root: Node,
    template: Template,
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
    data: DataConfig,
}

impl Sections {
    fn read(file: &Node, problems: &mut Problems) -> Option<Self> {
        let sections = Fields::open(file, "", problems)?;
        let study = sections.required("study", problems);
        let data = sections.required("data", problems);
        let model: Option<ModelConfig> = sections.or("model", luthier_core::config::defaults, problems);
        if let (Some(model), Some(node)) = (&model, file.get("model")) {
            model.check(node, problems);
        }
        let train: Option<TrainConfig> = sections.required("train", problems);
        let search = sections.or("search", luthier_core::config::defaults, problems);
        let trial = sections.or("trial", || None, problems);
        sections.close(&["study", "data", "model", "train", "search", "trial"], problems);
        let (_, _) = (model?, train?);
        Some(Self { study: study?, search: search?, trial: trial?, data: data? })
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
        let template = Template::compile(&root, &POLICY, &mut problems);
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
        let objective = check_names(&root, &template, &mut problems);
        let sections = problems.or(first)?;
        Ok(Self {
            path: path.to_path_buf(),
            study: sections.study,
            search: sections.search,
            trial: sections.trial,
            data: sections.data,
            objective,
            root,
            template,
        })
    }

    /// The space of the file's ranges.
    pub fn space(&self) -> &Space {
        self.template.space()
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
        identity(&self.root)
    }

    /// The number of configurations to try, if there is one.
    pub fn trials(&self) -> Option<u64> {
        match (self.search.trials, self.search.timeout) {
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
    /// If sampler or pruner are unknown, which [`StudyFile::parse`] has made sure of.
    pub fn make_search(&self) -> Result<Box<dyn Search>, String> {
        let sampler = luthier_search::sampler(&self.search.sampler)
            .ok_or_else(|| format!("there is no sampler {}", self.search.sampler))?;
        let pruner = luthier_search::pruner(&self.search.pruner)
            .ok_or_else(|| format!("there is no pruner {}", self.search.pruner))?;
        Ok(Box::new(SamplerAndPruner::new(sampler, pruner)))
    }

    /// The folder of the file.
    pub fn folder(&self) -> &Path {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// Loads the data, splits it, and checks the file against it at every corner of the space.
    ///
    /// # Errors
    ///
    /// [`LoadError`] where the data cannot be used, or the file does not fit it.
    pub fn load(
        &self,
        device: Device,
        progress: luthier_train::data::Progress<'_>,
    ) -> Result<Loaded, LoadError> {
        let DataConfig { source, split, .. } = &self.data;
        let dataset = source.load_for(split, self.folder(), progress).map_err(|error| self.located(error))?;
        let splits = match split {
            SplitConfig { folds: Some(_), fold: None, .. } => split.folds(&dataset),
            _ => split.split(&dataset).map(|split| vec![split]),
        };
        let splits = splits.map_err(|error| self.located(error))?;
        let objective =
            self.objective.unwrap_or_else(|| MetricName::val(Metric::default_of(dataset.targets.task())));
        let mut problems = Problems::new(self.path.display().to_string());
        if let Err(reason) = objective.metric.fits(&dataset.targets) {
            let line =
                self.root.get("study").and_then(|study| study.get("objective")).map_or(0, |node| node.line);
            let names: Vec<String> = MetricSet::all(&dataset.targets)
                .iter()
                .map(|metric| MetricName::val(metric).name())
                .collect();
            problems.push(Problem {
                line: (line > 0).then_some(line),
                path: "study.objective".to_owned(),
                expected: format!("a metric that fits the data: {}", names.join(", ")),
                found: format!("{:?}", objective.name()),
                help: Some(reason),
            });
            return Err(problems.into());
        }
        let direction = self.direction(objective);
        let experiment =
            Experiment::new(self.template.clone(), dataset, splits, objective, direction, device)
                .in_folder(self.folder());
        for corner in self.space().corners() {
            if let Err(found) = experiment.summarize(&corner, &problems.file) {
                for problem in found.iter() {
                    problems.push(problem.clone());
                }
            }
        }
        problems.or(Some(()))?;
        Ok(Loaded { experiment, objective, direction })
    }

    /// A fault of the file that showed only with the data, at its line; other errors as they are.
    fn located(&self, error: DataError) -> LoadError {
        let (path, found) = match &error {
            DataError::Setting { key, problem } if key.starts_with("split.") => {
                (format!("data.{key}"), problem.clone())
            }
            DataError::Setting { key, problem } => {
                (format!("data.source.classification.{key}"), problem.clone())
            }
            DataError::Split(reason) => ("data.split".to_owned(), reason.clone()),
            _ => return error.into(),
        };
        let mut node = Some(&self.root);
        let mut line = 0;
        for part in path.split('.') {
            node = node.and_then(|node| node.get(part));
            line = node.map_or(line, |node| node.line);
        }
        let mut problems = Problems::new(self.path.display().to_string());
        problems.add(line, &path, "settings that fit each other and the data", found);
        problems.into()
    }

    fn direction(&self, objective: MetricName) -> Direction {
        match self.study.direction.as_deref() {
            Some("minimize") => Direction::Minimize,
            Some("maximize") => Direction::Maximize,
            _ => objective.direction(),
        }
    }
}

/// A study file with its data.
pub struct Loaded {
    /// What a trial runs.
    pub experiment: Experiment,
    /// The metric that is tuned.
    pub objective: MetricName,
    /// Which way it is tuned.
    pub direction: Direction,
}

/// Why a study file and its data do not go together.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The data.
    #[error(transparent)]
    Data(#[from] luthier_train::data::DataError),
    /// The file, seen with the data.
    #[error(transparent)]
    Problems(#[from] Problems),
}
