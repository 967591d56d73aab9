//! Running the program, and where that is done.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Where examples and benchmarks are run.
pub(crate) struct Bench {
    root: PathBuf,
    luthier: PathBuf,
    work: PathBuf,
    /// Whether everything is made small.
    pub(crate) short: bool,
}

impl Bench {
    /// With the program, which is built if it is not there.
    pub(crate) fn new(short: bool) -> Result<Self> {
        let mut bench = Self::without_program()?;
        bench.short = short;
        if !bench.luthier.exists() {
            let built =
                Command::new("cargo").args(["build", "--release"]).current_dir(&bench.root).status()?;
            ensure!(built.success(), "luthier could not be built");
        }
        Ok(bench)
    }

    /// For what does not run the program.
    pub(crate) fn without_program() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace")?.to_path_buf();
        let luthier = std::env::current_exe()?.parent().context("the target folder")?.join("luthier");
        let work = std::env::temp_dir().join(format!("luthier-examples-{}", std::process::id()));
        std::fs::create_dir_all(&work)?;
        Ok(Self { root, luthier, work, short: false })
    }

    /// The workspace.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder with the real data: `$LUTHIER_DATA`, or `shared/data` beside the workspace.
    pub(crate) fn data(&self) -> Option<PathBuf> {
        let folder =
            std::env::var_os("LUTHIER_DATA").map_or_else(|| self.root.join("../shared/data"), PathBuf::from);
        folder.join("mnist").is_dir().then(|| folder.canonicalize().unwrap_or(folder))
    }

    /// A path for something that is thrown away at the end.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.work.join(name)
    }

    /// Runs the program and reads its JSON.
    pub(crate) fn luthier(&self, words: &[&str]) -> Result<Value> {
        println!("luthier {}", words.join(" "));
        let mut command = Command::new(&self.luthier);
        command.args(words).arg("--json").stderr(Stdio::inherit()).current_dir(&self.root);
        if let Some(data) = self.data() {
            command.env("LUTHIER_DATA", data);
        }
        let output = command.output().context("luthier could not be started")?;
        ensure!(output.status.success(), "luthier {} failed", words.join(" "));
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// `luthier tune FILE` in a storage of its own; in short with `--trials` so many.
    pub(crate) fn tune(&self, file: &str, short_trials: &str, more: &[&str]) -> Result<(Value, String)> {
        let name = Path::new(file).file_stem().context("a file")?.to_string_lossy().into_owned();
        let storage = self.path(&format!("{name}.db")).display().to_string();
        let mut words = vec!["tune", file, "--storage", &storage];
        if self.short {
            words.extend(["--trials", short_trials]);
        }
        words.extend(more);
        Ok((self.luthier(&words)?, storage))
    }

    /// `luthier train FILE --test`.
    pub(crate) fn train(&self, file: &str, more: &[&str]) -> Result<Value> {
        let mut words = vec!["train", file, "--test"];
        if self.short {
            words.extend(["--epochs", "1"]);
        }
        words.extend(more);
        self.luthier(&words)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.work) {
            println!("could not remove {}: {error}", self.work.display());
        }
    }
}

/// A number somewhere in JSON, by a path such as `best.test.accuracy`; NaN if it is not there.
pub(crate) fn number(of: &Value, path: &str) -> f64 {
    let found = path.split('.').try_fold(of, |node, key| node.get(key));
    found.and_then(Value::as_f64).unwrap_or(f64::NAN)
}

/// A path as text in TOML.
pub(crate) fn quoted(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}
