//! A study file with all that its trials need: data for a training, a program for a command.

use luthier_core::config::{Problem, Problems, Template};
use luthier_core::{Direction, Metrics, Objective};
use luthier_runner::{CommandObjective, Supervisor};
use luthier_train::data::{DataError, Progress, SplitConfig};
use luthier_train::{DataConfig, Device, Experiment, Metric, MetricName, MetricSet};
use thiserror::Error;

use super::text::without_limits;
use super::{OneOrMore, StudyFile, Task, criteria};

/// A study file with what its trials need.
pub enum Loaded {
    /// A training with its data.
    Training(Box<Training>),
    /// A program.
    Command(Box<CommandObjective>),
}

/// A training with its data.
pub struct Training {
    /// What a trial runs.
    pub experiment: Experiment,
    /// The metric that is tuned.
    pub objective: MetricName,
    /// Which way it is tuned.
    pub direction: Direction,
}

/// Why a study file and what it names do not go together.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The file, seen with the data.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// The program, or what watches over it.
    #[error("{0}")]
    Command(String),
}

impl Loaded {
    /// What a trial runs.
    pub fn as_objective(&self) -> &dyn Objective {
        match self {
            Self::Training(training) => &training.experiment,
            Self::Command(command) => &**command,
        }
    }

    /// What is tuned.
    pub fn objective(&self) -> String {
        match self {
            Self::Training(training) => training.objective.name(),
            Self::Command(command) => command.objective().to_owned(),
        }
    }

    /// Which way it is tuned.
    pub fn direction(&self) -> Direction {
        match self {
            Self::Training(training) => training.direction,
            Self::Command(command) => command.direction(),
        }
    }

    /// The reports of a trial that runs its whole length, if that is known.
    pub fn reports(&self) -> Option<u64> {
        match self {
            Self::Training(training) => training.experiment.reports(),
            Self::Command(command) => command.config().steps,
        }
    }

    /// The class of machines whose trials have the same bits as those of this one; nothing for a program, which computes
    /// as it likes.
    pub fn class(&self) -> Option<String> {
        match self {
            Self::Training(training) => Some(training.experiment.class()),
            Self::Command(_) => None,
        }
    }

    /// What changes with the contents of the data, or of the program's own files.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    pub fn fingerprint(&self) -> Result<String, LoadError> {
        match self {
            Self::Training(training) => Ok(training.experiment.dataset().fingerprint()?),
            Self::Command(command) => {
                let failed =
                    |error| LoadError::Command(format!("cannot read a file of the command: {error}"));
                command.fingerprint().map_err(failed)
            }
        }
    }

    /// Measures a model on the test examples; nothing where there are none.
    ///
    /// # Errors
    ///
    /// If it cannot be used.
    pub fn test(&self, model: &[u8], threads: usize) -> Result<Option<Metrics>, String> {
        match self {
            Self::Training(training) => training.experiment.test(model, threads),
            Self::Command(_) => Ok(None),
        }
    }
}

impl StudyFile {
    /// Loads what the trials need, and checks the file against it at every corner of the space. `device` and
    /// `progress` are for a training.
    ///
    /// # Errors
    ///
    /// [`LoadError`] where the data cannot be used, the program is not there, or the file does not fit it.
    pub fn load(&self, device: Device, progress: Progress<'_>) -> Result<Loaded, LoadError> {
        match &self.task {
            Task::Training { data, objective } => {
                let training = self.load_training(data, *objective, device, progress)?;
                Ok(Loaded::Training(Box::new(training)))
            }
            Task::Command { objective, .. } => {
                let supervisor = Supervisor::this_program().map_err(LoadError::Command)?;
                let place = self.path.display().to_string();
                let place = (place.as_str(), self.folder());
                let objective = (objective.0.clone(), objective.1);
                let command = CommandObjective::new(self.template.clone(), objective, place, supervisor)?;
                Ok(Loaded::Command(Box::new(command)))
            }
        }
    }

    fn load_training(
        &self,
        data: &DataConfig,
        objective: Option<MetricName>,
        device: Device,
        progress: Progress<'_>,
    ) -> Result<Training, LoadError> {
        let DataConfig { source, split, .. } = data;
        let dataset = source.load_for(split, self.folder(), progress).map_err(|error| self.located(error))?;
        let splits = match split {
            SplitConfig { folds: Some(_), fold: None, .. } => split.folds(&dataset),
            _ => split.split(&dataset).map(|split| vec![split]),
        };
        let splits = splits.map_err(|error| self.located(error))?;
        let objective =
            objective.unwrap_or_else(|| MetricName::val(Metric::default_of(dataset.targets.task())));
        let mut problems = Problems::new(self.path.display().to_string());
        let further = criteria::metrics(&self.criteria);
        for (name, metric) in &further {
            if let Err(reason) = metric.fits(&dataset.targets) {
                let is_objective = self.criteria.objectives.iter().any(|goal| goal.name == *name);
                let (section, key) =
                    if is_objective { ("study", "objective") } else { ("search", "constraints") };
                let node = self.root.get(section).and_then(|section| section.get(key));
                let path = format!("{section}.{key}");
                problems.add(
                    node.map_or(0, |node| node.line),
                    &path,
                    "metrics that fit the data",
                    format!("{name:?}: {reason}"),
                );
            }
        }
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
        let direction = match self.study.direction.as_ref().and_then(OneOrMore::first) {
            Some("minimize") => Direction::Minimize,
            Some("maximize") => Direction::Maximize,
            _ => objective.direction(),
        };
        // How many workers there were, and for how long they were to work, is no part of a model.
        let bare = without_limits(&self.root);
        let template = Template::compile(&bare, Task::policy(&bare), &mut problems);
        let experiment = Experiment::new(template, dataset, splits, objective, direction, device)
            .in_folder(self.folder())
            .measuring(further.into_iter().map(|(_, metric)| metric));
        for corner in self.space().corners() {
            if let Err(found) = experiment.summarize(&corner, &problems.file) {
                for problem in found.iter() {
                    problems.push(problem.clone());
                }
            }
        }
        problems.or(Some(()))?;
        Ok(Training { experiment, objective, direction })
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
}
