//! Trials that begin with the checkpoints of others: the same bits for any number of workers and whatever is lost.

use luthier_core::{Event, Lineage, Origin, Params, Request};

use super::clock::{dawdle, verified};
use super::*;
use crate::{origin_name, repeat};

/// Adds to a sum what follows from its parameter and from its stream; the value after a step is the sum. Its checkpoint is
/// the step and the sum.
struct Summing<F: Fn(&dyn TrialHandle, u64) + Send + Sync> {
    before_step: F,
}

fn bytes(step: u64, sum: f64) -> Vec<u8> {
    [step.to_le_bytes(), sum.to_le_bytes()].concat()
}

fn parts(bytes: &[u8]) -> (u64, f64) {
    let (step, sum) = bytes.split_at(8);
    (u64::from_le_bytes(step.try_into().unwrap()), f64::from_le_bytes(sum.try_into().unwrap()))
}

impl<F: Fn(&dyn TrialHandle, u64) + Send + Sync> Objective for Summing<F> {
    fn abilities(&self) -> Abilities {
        Abilities { reports: true, pauses: true, forks: true }
    }

    fn evaluate(&self, trial: &mut dyn TrialHandle) -> Result<Evaluation, ObjectiveError> {
        let x = trial.params()["x"].as_f64().unwrap();
        let length =
            trial.lineage().and_then(|from| from.request.as_ref()?.values.get("length")?.parse().ok());
        let length: u64 = length.unwrap_or(10);
        let (mut step, mut sum) = match trial.checkpoint()? {
            Some(own) => parts(&own),
            None if trial.lineage().is_some() => parts(&trial.inherited()?),
            None => (0, 0.0),
        };
        loop {
            if step >= length {
                if trial.wants_checkpoint() {
                    trial.save_checkpoint(bytes(step, sum))?;
                }
                let model = Some(format!("{sum:?}").into_bytes());
                return Ok(Evaluation::Complete {
                    value: sum,
                    step: Some(step),
                    ending: Ending::Full,
                    model,
                });
            }
            if trial.until().is_some_and(|until| step >= until) {
                trial.save_checkpoint(bytes(step, sum))?;
                return Ok(Evaluation::Paused);
            }
            (self.before_step)(trial, step + 1);
            if trial.interrupted().is_some() {
                trial.save_checkpoint(bytes(step, sum))?;
                return Ok(Evaluation::Paused);
            }
            step += 1;
            sum += x + (trial.seed() % 1000 * step) as f64 * 1e-6;
            if let Decision::Stop(reason) = trial.report(step, sum, Metrics::default())? {
                return Ok(Evaluation::Stopped(reason));
            }
        }
    }
}

/// Four trials pause at step 3; the best of them goes on, and is forked three times; the last of the forks is forked
/// where it pauses.
struct Forking;

impl Forking {
    fn forked(view: &View<'_>, origin: Origin) -> usize {
        view.tried().filter(|trial| trial.origin() == Some(origin)).count()
    }
}

impl Search for Forking {
    fn next(&self, view: &View<'_>, space: &Space, rng: &mut Rng) -> Result<Next, SearchError> {
        if view.len() < 4 {
            return Ok(Next::New { params: space.sample(rng), from: None, until: Some(3) });
        }
        let first: Vec<_> = view.tried().take(4).collect();
        if first.iter().any(|trial| trial.losses().len() < 3) {
            return Ok(Next::Wait);
        }
        let at = |trial: &luthier_core::Tried<'_>| trial.losses()[2].1;
        let best = first.iter().min_by(|a, b| at(a).total_cmp(&at(b))).unwrap();
        let best = Origin { trial: best.id(), step: 3 };
        if view.get_unfinished(best.trial).is_some_and(|trial| trial.is_paused()) {
            return Ok(Next::Resume { trial: best.trial, until: None });
        }
        if Self::forked(view, best) < 3 {
            return Ok(Next::New { params: space.sample(rng), from: Some(best), until: Some(6) });
        }
        let last = Origin { trial: TrialId(6), step: 6 };
        let paused = view.get_unfinished(last.trial).is_some_and(|trial| trial.is_paused());
        if paused && Self::forked(view, last) == 0 {
            return Ok(Next::New { params: space.sample(rng), from: Some(last), until: None });
        }
        Ok(if view.unfinished().any(|trial| !trial.is_paused()) { Next::Wait } else { Next::Done })
    }

    fn decide(&self, _: &View<'_>, _: &Unfinished<'_>, _: &mut Rng) -> Decision {
        Decision::Continue
    }

    fn decides(&self) -> bool {
        false
    }

    fn forks(&self) -> bool {
        true
    }

    fn may_fork(&self, view: &View<'_>, origin: Origin) -> bool {
        if origin.step == 3 { view.len() < 7 } else { view.len() < 8 }
    }
}

fn lineages(history: &History) -> Vec<String> {
    let of = |trial: &Trial| trial.from.as_ref().map(ToString::to_string).unwrap_or_default();
    essence(history).into_iter().zip(history.trials().iter().map(of)).map(|(a, b)| a + &b).collect()
}

fn forked(storage: &Arc<dyn Storage>, workers: usize, run: u64) -> History {
    let objective = Summing { before_step: dawdle(run) };
    let ledger = open_with(storage, Some(3));
    run_on(ledger, &Forking, &objective, limits(40, workers), &Interrupt::default()).unwrap().1
}

fn left(storage: &Arc<dyn Storage>) -> Vec<String> {
    let study = storage.study("s").unwrap().unwrap().id;
    let mut names = storage.artifacts(study).unwrap();
    names.retain(|name| name.contains("-at-"));
    names
}

#[test]
fn forks_are_the_same_for_any_number_of_workers() {
    let expected = forked(&storage(), 1, 0);
    assert_eq!(expected.trials().len(), 8);
    for fork in &expected.trials()[4..] {
        let origin = fork.from.as_ref().unwrap().origin;
        let parent = expected.trial(origin.trial).unwrap();
        assert_eq!(fork.reports[0].step, origin.step + 1);
        assert_ne!(fork.seed, parent.seed);
        // It goes on from the sum that the other one had.
        let sum = parent.reports.iter().find(|report| report.step == origin.step).unwrap().value;
        let x = fork.params["x"].as_f64().unwrap();
        let first = x + (fork.seed % 1000 * (origin.step + 1)) as f64 * 1e-6;
        assert_eq!(fork.reports[0].value.to_bits(), (sum + first).to_bits());
    }
    for workers in [1, 2, 8] {
        let storage = storage();
        assert_eq!(lineages(&forked(&storage, workers, 7)), lineages(&expected), "{workers} workers");
        let verified = verified(&storage, &Forking);
        assert_eq!((verified.proposals, &verified.differences[..]), (8, &[][..]), "{workers} workers");
        assert_eq!(left(&storage), Vec::<String>::new(), "{workers} workers");
    }
}

#[test]
fn forks_in_free_order_begin_where_the_other_one_was() {
    let storage = storage();
    let objective = Summing { before_step: dawdle(1) };
    let (_, history) = run(&storage, &Forking, &objective, limits(40, 3), &Interrupt::default()).unwrap();
    assert_eq!(history.trials().len(), 8);
    assert_eq!(verified(&storage, &Forking).differences, Vec::<String>::new());
    assert_eq!(left(&storage), Vec::<String>::new());
}

#[test]
fn a_study_that_is_broken_off_again_and_again_and_loses_its_checkpoints_comes_to_the_same_end() {
    let expected = lineages(&forked(&storage(), 2, 0));
    for loses in [false, true] {
        let storage = storage();
        let mut rounds = 0_u64;
        loop {
            let interrupt = Interrupt::default();
            let steps = std::sync::atomic::AtomicUsize::new(0);
            let objective = Summing {
                before_step: |trial: &dyn TrialHandle, step: u64| {
                    dawdle(rounds)(trial, step);
                    // What is lost is done again, and takes the steps for it.
                    if steps.fetch_add(1, Ordering::Relaxed) == 5 + rounds as usize {
                        interrupt.set();
                    }
                },
            };
            let ledger = open_with(&storage, Some(3));
            let (stop, history) = run_on(ledger, &Forking, &objective, limits(40, 2), &interrupt).unwrap();
            if stop != Stop::Interrupted {
                assert_eq!(lineages(&history), expected);
                break;
            }
            rounds += 1;
            assert!(rounds < 40);
            if loses {
                let study = storage.study("s").unwrap().unwrap().id;
                for name in storage.artifacts(study).unwrap() {
                    storage.remove_artifact(study, &name).unwrap();
                }
            }
        }
        assert!(rounds > 2, "{rounds}");
        assert_eq!(verified(&storage, &Forking).differences, Vec::<String>::new());
    }
}

#[test]
fn a_checkpoint_that_a_crash_has_kept_from_being_written_is_made_again() {
    let expected = forked(&storage(), 1, 0);
    let storage = storage();
    let objective = Summing { before_step: idle };
    // Until the first fork has begun: then its origin is removed under its hands.
    let interrupt = Interrupt::default();
    let objective_until_fork = Summing {
        before_step: |trial: &dyn TrialHandle, _| {
            if trial.lineage().is_some() {
                interrupt.set();
            }
        },
    };
    run_on(open_with(&storage, Some(3)), &Forking, &objective_until_fork, limits(40, 1), &interrupt).unwrap();
    let study = storage.study("s").unwrap().unwrap().id;
    let names = left(&storage);
    assert!(!names.is_empty());
    for name in names {
        storage.remove_artifact(study, &name).unwrap();
    }
    let (_, history) =
        run_on(open_with(&storage, Some(3)), &Forking, &objective, limits(40, 1), &Interrupt::default())
            .unwrap();
    assert_eq!(lineages(&history), lineages(&expected));
}

#[test]
fn who_cannot_fork_is_refused() {
    let objective = Counting { before_step: idle };
    let error =
        run_on(open_with(&storage(), Some(2)), &Forking, &objective, limits(9, 1), &Interrupt::default());
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("begins trials with the checkpoints of others, and the objective cannot"),
        "{error}"
    );
}

/// Asks for a trial and runs it.
fn ask(storage: &Arc<dyn Storage>, params: &Params, from: &Lineage) -> History {
    let mut ledger = open_with(storage, Some(3));
    let trial = ledger
        .turn(|ledger| -> Result<TrialId, RunError> {
            Ok(ledger.start_request(params.clone(), from.clone())?)
        })
        .unwrap();
    let session = Session {
        search: &Forking,
        space: &space(),
        objective: &Summing { before_step: idle },
        limits: Limits { trials: Trials::AsBefore, parallel: 1, ..Limits::default() },
        interrupt: Interrupt::default(),
        observer: &Quiet,
        record: SessionRecord { program: "test".into(), worker: None, file: None, data: None, class: None },
    };
    session.run_only(ledger, trial).unwrap().1.history().clone()
}

#[test]
fn a_person_may_lengthen_and_branch_trials_and_the_search_does_not_see_it() {
    let storage = storage();
    let study = forked(&storage, 2, 0);
    let whole = study.trials().iter().find(|trial| trial.reports.len() == 10).unwrap().clone();
    let values = [("length".to_owned(), "14".to_owned())].into_iter().collect();
    let origin = Origin { trial: whole.id, step: 10 };
    let request = Request { extends: true, values };
    let from = Lineage { origin, request: Some(request.clone()) };
    let longer = ask(&storage, &whole.params, &from);
    let longer = longer.trials().last().unwrap();
    assert_eq!((longer.seed, longer.state()), (whole.seed, "complete"));
    let mut sum = whole.reports[9].value;
    for (report, step) in longer.reports.iter().zip(11_u64..) {
        sum += whole.params["x"].as_f64().unwrap() + (whole.seed % 1000 * step) as f64 * 1e-6;
        assert_eq!((report.step, report.value.to_bits()), (step, sum.to_bits()));
    }
    assert_eq!(longer.reports.len(), 4);

    let params: Params = [("x".to_owned(), Value::Float(-1.0))].into_iter().collect();
    let request = Request { extends: false, ..request };
    let from = Lineage { origin: Origin { step: 4, ..origin }, request: Some(request) };
    let history = ask(&storage, &params, &from);
    let branch = history.trials().last().unwrap();
    assert_eq!((branch.reports.len(), branch.state(), branch.id), (10, "complete", TrialId(9)));
    assert_ne!(branch.seed, whole.seed);
    assert_eq!(history.best().unwrap().id, branch.id);
    // It is not the search's.
    assert_eq!((history.view().len(), history.configurations()), (8, 8));
    assert_eq!(history.view().finished().count(), study.view().finished().count());
    let found = verified(&storage, &Forking);
    assert_eq!((found.proposals, found.requests, &found.differences[..]), (8, 2, &[][..]));
    // And it can be repeated with all that it goes on from.
    let objective = Summing { before_step: idle };
    let id = storage.study("s").unwrap().unwrap().id;
    let model = storage.artifact(id, &model_name(branch.id)).unwrap();
    assert!(model.is_some());
    let differences = repeat(&objective, &history, branch, model.as_deref(), &[], "value").unwrap();
    assert_eq!(differences, Vec::<String>::new());
    assert_eq!(left(&storage), Vec::<String>::new());
    let name = origin_name(Origin { trial: TrialId(0), step: 3 });
    assert_eq!(name, "trial-0-at-3.checkpoint");
}

#[test]
fn nothing_begins_where_the_other_trial_has_not_been() {
    let storage = storage();
    forked(&storage, 1, 0);
    let mut ledger = open_with(&storage, Some(3));
    let from = Lineage { origin: Origin { trial: TrialId(0), step: 40 }, request: Some(Request::default()) };
    let error = ledger.turn(|ledger| -> Result<TrialId, RunError> {
        Ok(ledger.start_request(Params::new(), from.clone())?)
    });
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("trial 8 begins with trial 0 at step 40, which that one has not reached"),
        "{error}"
    );
    let missing = Event::TrialStarted {
        trial: TrialId(8),
        params: Params::new(),
        seed: 0,
        until: None,
        at: None,
        from: Some(Lineage { origin: Origin { trial: TrialId(80), step: 1 }, ..from }),
    };
    let error = ledger.turn(|ledger| -> Result<(), RunError> { Ok(ledger.add(missing.clone())?) });
    assert!(error.unwrap_err().to_string().contains("trial 80 does not exist"));
}
