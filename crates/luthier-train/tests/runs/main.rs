//! Whole trainings: the same bits however they run, checkpoints, early stopping, divergence,
//! interruption, hooks, and the models that are handed over.

mod bits;
mod checkpoints;
mod common;
mod forks;
mod hooks;
mod models;
mod own;
mod pauses;
mod stopping;
