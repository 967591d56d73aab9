//! PyTorch's side: processes of `bench/train/pytorch.py` that are measured when they are asked.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// A Python with PyTorch.
pub(crate) struct Python {
    program: PathBuf,
    scripts: PathBuf,
    work: PathBuf,
}

impl Python {
    /// That of `$LUTHIER_PYTHON`, or `python3`. What it writes that is no result goes to files in `work`.
    pub(crate) fn new(root: &Path, work: &Path) -> Self {
        let program = std::env::var_os("LUTHIER_PYTHON").map_or_else(|| "python3".into(), PathBuf::from);
        Self { program, scripts: root.join("bench/train"), work: work.to_path_buf() }
    }

    /// A script of `bench/train`.
    pub(crate) fn command(&self, script: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(self.scripts.join(script));
        command
    }

    /// The variants of each case.
    pub(crate) fn variants(&self) -> Result<Value> {
        let output = self.command("pytorch.py").arg("--list").stderr(Stdio::inherit()).output();
        let output = output.with_context(|| format!("cannot start {}", self.program.display()))?;
        serde_json::from_slice(&output.stdout).with_context(|| {
            format!("{} has no PyTorch; name one with LUTHIER_PYTHON", self.program.display())
        })
    }

    /// Starts `count` processes of a case, each with so many threads, and waits until they are warm.
    pub(crate) fn serve(
        &self,
        (case, variant): (&str, &str),
        count: usize,
        threads: usize,
        tokens: Option<&Path>,
    ) -> Result<Servers> {
        let log = self.work.join(format!("{case}-{variant}.log"));
        let mut servers = Servers(Vec::new());
        for _ in 0..count {
            let mut command = self.command("pytorch.py");
            command.args([case, "--variant", variant, "--threads", &threads.to_string(), "--serve"]);
            if let Some(tokens) = tokens {
                command.arg("--tokens").arg(tokens);
            }
            let mut child = command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(File::create(&log)?)
                .spawn()
                .with_context(|| format!("cannot start {}", self.program.display()))?;
            let (stdin, stdout) = (child.stdin.take(), child.stdout.take().context("no output")?);
            let log = log.clone();
            servers.0.push(Server { child, stdin, stdout: BufReader::new(stdout), about: Value::Null, log });
        }
        for server in &mut servers.0 {
            server.about = server.answer()?;
        }
        Ok(servers)
    }
}

/// Processes that work at the same time. They end when this is dropped.
pub(crate) struct Servers(Vec<Server>);

struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    about: Value,
    log: PathBuf,
}

impl Servers {
    /// What the first says of itself.
    pub(crate) fn about(&self) -> &Value {
        self.0.first().map_or(&Value::Null, |server| &server.about)
    }

    /// Lets all work for so long; the sum of what they say under `key`.
    pub(crate) fn measure(&mut self, seconds: f64, key: &str) -> Result<f64> {
        for server in &mut self.0 {
            let stdin = server.stdin.as_mut().context("no input")?;
            writeln!(stdin, "{seconds}")?;
            stdin.flush()?;
        }
        let mut sum = 0.0;
        for server in &mut self.0 {
            sum += server.answer()?[key].as_f64().with_context(|| format!("no {key} from PyTorch"))?;
        }
        Ok(sum)
    }
}

impl Server {
    /// The next line of JSON.
    fn answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        if line.is_empty() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let last = log.lines().rev().find(|line| !line.trim().is_empty());
            bail!("{}", last.unwrap_or("PyTorch ended without a word").trim());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Without input it ends by itself, unless it is in the middle of something.
        drop(self.stdin.take());
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
