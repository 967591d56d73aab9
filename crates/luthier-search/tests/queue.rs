//! Starting points come first, and what they leave out comes from the search.
#![allow(clippy::unwrap_used, reason = "a test stops where something is missing")]

use luthier_core::testing::{Played, conditional_space};
use luthier_core::{Next, Params, Purpose, SamplerAndPruner, Search, Streams, Value};
use luthier_search::Queue;

#[test]
fn starting_points_come_first_and_are_completed() {
    let space = conditional_space();
    let plain = || {
        let sampler = luthier_search::sampler("auto").unwrap();
        Box::new(SamplerAndPruner::new(sampler, luthier_search::PrunerConfig::None.create()))
    };
    let start = |name: &str, value: Value| space.start(&Params::from([(name.to_owned(), value)])).unwrap();
    let mut queue = Queue::new(plain(), [start("momentum", 0.9.into()), start("rate", 1e-3.into())]);
    let mut played = Played::new();
    let mut found = Vec::new();
    for n in 0..6 {
        if n == 4 {
            assert_eq!(queue.push(n, start("layers", 2.into())), 4);
            assert_eq!(queue.push(n, start("layers", 1.into())), 5);
        }
        let next = |search: &dyn Search| {
            let mut rng = Streams::new(0).at(Purpose::Sampler, n);
            match search.next(&played.0.view(), &space, &mut rng).unwrap() {
                Next::New { params, .. } => params,
                other => panic!("{other:?}"),
            }
        };
        let (params, proposed) = (next(&queue), next(&*plain()));
        assert!(space.contains(&params), "{params:?}");
        if [2, 3].contains(&n) {
            assert_eq!(params, proposed, "trial {n} is the search's own");
        }
        played.begin(params.clone(), None);
        found.push((params, proposed));
    }
    assert_eq!(found[0].0["momentum"], Value::Float(0.9));
    assert_eq!(found[0].0["optimizer"], "sgd".into());
    assert_eq!(found[0].0["dropout"], found[0].1["dropout"]);
    assert_eq!(found[1].0["rate"], Value::Float(1e-3));
    assert_eq!((&found[4].0["layers"], &found[5].0["layers"]), (&Value::Int(2), &Value::Int(1)));
}
