//! Luthier's side: the library's own training loop, stopped by the clock.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use luthier::train::{Advance, Hook, Position, Run, Setup};
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::case::AtOnce;

/// Trainings that are measured, go on from where they were at the next measurement.
pub(crate) enum Ours {
    /// Each run has threads of its own.
    Runs(Vec<(Run, ThreadPool)>),
    /// So many trials are trained anew at each measurement, by as many workers as there are pools.
    Trials { setup: Box<Setup>, count: usize, pools: Vec<ThreadPool> },
}

/// Pauses a run when its time is over, after two steps at least.
struct Until {
    started: Instant,
    limit: Duration,
    steps: u64,
}

impl Hook for Until {
    fn after_step(&mut self, _at: &Position, _loss: f64) {
        self.steps += 1;
    }

    fn pauses(&mut self) -> bool {
        self.steps >= 2 && self.started.elapsed() >= self.limit
    }
}

fn pool(threads: usize) -> Result<ThreadPool> {
    Ok(ThreadPoolBuilder::new().num_threads(threads).build()?)
}

fn begin(setup: &Setup, seed: u64) -> Result<Run> {
    let mut setup = setup.clone();
    setup.seed = seed;
    Run::new(setup).map_err(|reason| anyhow!(reason))
}

impl Ours {
    pub(crate) fn new(setup: &Setup, at_once: AtOnce, threads: usize) -> Result<Self> {
        let single = || (0..threads).map(|_| pool(1)).collect::<Result<Vec<_>>>();
        Ok(match at_once {
            AtOnce::One => Self::Runs(vec![(begin(setup, 0)?, pool(threads)?)]),
            AtOnce::EachThread => {
                let runs = single()?.into_iter().zip(0..).map(|(pool, seed)| Ok((begin(setup, seed)?, pool)));
                Self::Runs(runs.collect::<Result<_>>()?)
            }
            AtOnce::Trials(count) => Self::Trials { setup: Box::new(setup.clone()), count, pools: single()? },
        })
    }

    /// Trains for so long (trials: to their ends), and gives the steps a second of all runs together.
    pub(crate) fn measure(&mut self, seconds: f64) -> Result<f64> {
        match self {
            Self::Runs(runs) => {
                let together = Barrier::new(runs.len());
                let rates: Vec<Result<f64>> = std::thread::scope(|scope| {
                    let threads: Vec<_> = runs
                        .iter_mut()
                        .map(|(run, pool)| {
                            scope.spawn(|| {
                                together.wait();
                                pool.install(|| rate(run, seconds))
                            })
                        })
                        .collect();
                    threads.into_iter().map(joined).collect()
                });
                rates.into_iter().sum()
            }
            Self::Trials { setup, count, pools } => {
                let (next, steps) = (AtomicUsize::new(0), Mutex::new(0));
                let started = Instant::now();
                let work = || {
                    loop {
                        let trial = next.fetch_add(1, Ordering::Relaxed);
                        if trial >= *count {
                            return Ok(());
                        }
                        let mut run = begin(setup, trial as u64)?;
                        while !matches!(run.advance(&mut ())?, Advance::Ended(_)) {}
                        *steps.lock().unwrap_or_else(PoisonError::into_inner) += run.position().step;
                    }
                };
                let done: Result<Vec<()>> = std::thread::scope(|scope| {
                    let threads: Vec<_> =
                        pools.iter().map(|pool| scope.spawn(|| pool.install(work))).collect();
                    threads.into_iter().map(joined).collect()
                });
                done?;
                let steps = *steps.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(steps as f64 / started.elapsed().as_secs_f64())
            }
        }
    }
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().map_err(|_| anyhow!("a training panicked"))?
}

/// Steps a second of a run.
fn rate(run: &mut Run, seconds: f64) -> Result<f64> {
    let mut hook = Until { started: Instant::now(), limit: Duration::from_secs_f64(seconds), steps: 0 };
    loop {
        match run.advance(&mut hook)? {
            Advance::Report(_) => {}
            Advance::Paused => return Ok(hook.steps as f64 / hook.started.elapsed().as_secs_f64()),
            other => bail!("a training without an end came to {other:?}"),
        }
    }
}
