//! What is wrong with a file, and where.

use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line in the file, from 1; `None` where it came from the command line.
    pub line: Option<usize>,
    /// Path of the key, such as `train.optimizer.learning_rate`; empty for the file as a whole.
    pub path: String,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// What to do about it, if there is more to say.
    pub help: Option<String>,
}

/// All that is wrong with a file. It prints one paragraph for each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    /// The file, as the user named it.
    pub file: String,
    list: Vec<Problem>,
}

impl Problems {
    /// Nothing wrong yet with `file`.
    pub fn new(file: impl Into<String>) -> Self {
        Self { file: file.into(), list: Vec::new() }
    }

    /// Adds a problem, unless one of that place, or of a place that holds it, is there already: one range
    /// leads to the same fault at several corners, and a broken table breaks what is in it.
    pub fn push(&mut self, problem: Problem) {
        let known = |other: &Problem| {
            problem
                .path
                .strip_prefix(&other.path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                && (!other.path.is_empty() || *other == problem)
        };
        if !self.list.iter().any(known) {
            self.list.push(problem);
        }
    }

    /// Adds a problem at `line` and `path`.
    pub fn add(&mut self, line: usize, path: &str, expected: impl Into<String>, found: impl Into<String>) {
        self.push(Problem {
            line: (line > 0).then_some(line),
            path: path.to_owned(),
            expected: expected.into(),
            found: found.into(),
            help: None,
        });
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The problems, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter()
    }

    /// `value` if nothing is wrong, else the problems in the order of their lines.
    pub fn or<T>(mut self, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if self.is_empty() => Ok(value),
            _ => {
                self.list.sort_by_key(|problem| problem.line);
                Err(self)
            }
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.list.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            match problem.line {
                Some(line) => write!(f, "{}:{line}", self.file)?,
                None => write!(f, "{}", self.file)?,
            }
            if !problem.path.is_empty() {
                write!(f, ": {}", problem.path)?;
            }
            write!(f, "\n  expected {}\n  found    {}", problem.expected, problem.found)?;
            if let Some(help) = &problem.help {
                write!(f, "\n  help     {help}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The candidate that `word` was most likely meant to be, if any is close.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            (strsim::normalized_damerau_levenshtein(&word, &candidate.to_lowercase()), candidate)
        })
        .filter(|(similarity, candidate)| *similarity >= 0.5 || candidate.starts_with(&word))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
