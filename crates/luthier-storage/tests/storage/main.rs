//! What the SQLite storage promises: the contract, the same results as in memory, and files that
//! survive whatever happens to them.
#![allow(clippy::doc_markdown, reason = "SQLite is a name")]
#![allow(clippy::unwrap_used, reason = "a test stops where something fails")]

mod broken_files;
mod children;
mod crashes;
mod equal_to_memory;
mod files;
mod views;

use luthier_core::{Direction, Event, Params, StudyDefinition, TrialId};

fn definition(name: &str) -> StudyDefinition {
    StudyDefinition {
        name: name.to_owned(),
        objective: "val_loss".to_owned(),
        direction: Direction::Minimize,
        criteria: luthier_core::Criteria::default(),
        seed: 7,
        slots: None,
        steps: None,
        file: None,
        data: None,
        program: "test".to_owned(),
    }
}

fn started(trial: u64) -> Event {
    Event::TrialStarted {
        trial: TrialId(trial),
        params: Params::new(),
        seed: trial,
        until: None,
        at: None,
        from: None,
    }
}
