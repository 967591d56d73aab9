//! Checkpoints of trials that will never go on.

use super::*;

#[test]
fn checkpoints_of_trials_that_are_given_up_are_removed() {
    let space = space();
    for slots in [None, Some(4)] {
        for workers in [1, 3] {
            let storage = storage();
            let search = search("asha");
            let objective = Once { of: Counting { before_step: idle }, begun: Mutex::default() };
            let ledger = open_with(&storage, slots);
            let session = Session {
                search: &search,
                space: &space,
                objective: &objective,
                limits: limits(60, workers),
                interrupt: Interrupt::default(),
                observer: &Quiet,
                record: SessionRecord {
                    program: "test".into(),
                    worker: None,
                    file: None,
                    data: None,
                    class: None,
                },
            };
            let (stop, ledger) = session.run(ledger).unwrap();
            assert_eq!(stop, Stop::Finished);
            assert!(ledger.history().trials().iter().all(|trial| trial.state() != "failed"));
            let waiting = ledger.history().open().count();
            assert!(waiting > 20, "{waiting} trials were paused for good");
            let names = storage.artifacts(ledger.study().id).unwrap();
            // The winner's last checkpoint is kept for whoever wants to extend it.
            let best = ledger.history().best().unwrap().id;
            assert_eq!(names, [crate::checkpoint_name(best), model_name(best)], "of {waiting} paused trials");
        }
    }
}

/// Fails where a trial begins at its start twice.
struct Once<O> {
    of: O,
    begun: Mutex<BTreeSet<TrialId>>,
}

impl<O: Objective> Objective for Once<O> {
    fn abilities(&self) -> Abilities {
        self.of.abilities()
    }

    fn evaluate(&self, trial: &mut dyn TrialHandle) -> Result<Evaluation, ObjectiveError> {
        let first = self.begun.lock().unwrap().insert(trial.id());
        assert!(first || trial.checkpoint()?.is_some(), "the checkpoint of trial {} is gone", trial.id());
        self.of.evaluate(trial)
    }
}
