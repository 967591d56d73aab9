//! Conversations: what is answered, what is refused, and that the search learns.

use serde_json::{Value, json};

use super::{AskTell, AskTellError};

mod refused;

fn problem(max_fidelity: Option<u64>) -> Value {
    json!({
        "name": "p", "direction": "minimize", "max_fidelity": max_fidelity, "noisy": false,
        "params": [
            {"name": "x", "type": "float", "low": -5, "high": 5.0, "log": false},
            {"name": "layers", "type": "int", "low": 1, "high": 5, "log": false},
            {"name": "opt", "type": "cat", "choices": ["sgd", "adam", "lion"]},
            {"name": "momentum", "type": "float", "low": 0, "high": 1, "log": false,
             "if": [{"param": "opt", "in": ["sgd", "lion"]}]},
        ],
    })
}

struct Conversation(AskTell);

impl Conversation {
    fn start(max_fidelity: Option<u64>, more: Value) -> Self {
        let mut start = json!({"problem": problem(max_fidelity), "seed": 3, "more": null});
        let (Value::Object(all), Value::Object(more)) = (&mut start, more) else { panic!("objects") };
        all.extend(more);
        let mut conversation = Self(AskTell::default());
        assert_eq!(conversation.say(&json!({"start": start})), json!({"ready": true}));
        conversation
    }

    fn say(&mut self, message: &Value) -> Value {
        let reply = self.0.line(&message.to_string()).expect("a line that can be followed");
        serde_json::from_str(&reply.expect("a reply is due")).expect("JSON")
    }

    fn tell(&mut self, message: &Value) {
        assert_eq!(self.0.line(&json!({ "tell": message }).to_string()), Ok(None));
    }
}

fn loss(params: &Value) -> f64 {
    let x = params["x"].as_f64().expect("a number");
    let momentum = params["momentum"].as_f64();
    assert_eq!(momentum.is_some(), params["opt"] != "adam", "{params}");
    (x - 1.0).powi(2) + momentum.unwrap_or(1.0)
}

#[test]
fn the_search_learns() {
    let mut conversation = Conversation::start(None, json!({}));
    let mut losses = Vec::new();
    for number in 0..60 {
        let trial = conversation.say(&json!({"ask": {}}));
        assert_eq!((&trial["id"], trial.get("until")), (&json!(number), None));
        losses.push(loss(&trial["params"]));
        conversation.tell(&json!({"id": number, "value": losses[number], "state": "complete"}));
    }
    let best = |losses: &[f64]| losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(best(&losses) < 0.2, "{}", best(&losses));
    assert!(best(&losses[20..]) < best(&losses[..20]));
}

#[test]
fn trials_pause_and_the_best_go_on() {
    let mut conversation = Conversation::start(Some(9), json!({"epochs": 90, "sampler": "random"}));
    let (mut steps, mut complete) = (std::collections::BTreeMap::new(), 0);
    for _ in 0..60 {
        let trial = conversation.say(&json!({"ask": {}}));
        let id = trial["id"].as_u64().expect("a number");
        let until = trial.get("until").map_or(9, |until| until.as_u64().expect("a number"));
        let done = steps.entry(id).or_insert(0);
        assert!(*done < until, "trial {id} was finished");
        let mut value = f64::NAN;
        while *done < until {
            *done += 1;
            value = loss(&trial["params"]) + 1.0 / *done as f64;
            let report = json!({"report": {"id": id, "step": *done, "value": value}});
            assert_eq!(conversation.say(&report), json!({"stop": false}));
        }
        complete += u64::from(until == 9);
        let state = if until == 9 { "complete" } else { "paused" };
        conversation.tell(&json!({"id": id, "value": value, "state": state}));
    }
    assert!(complete >= 2 && steps.len() > 30, "{complete} of {}", steps.len());
}

#[test]
fn the_pruner_that_is_not_named_goes_by_what_is_limited() {
    // A number of steps goes to many short trials; of a number of trials none is to be lost.
    for (more, until) in
        [(json!({}), 1), (json!({"trials": 30, "epochs": 90}), 1), (json!({"trials": 30}), 9)]
    {
        let mut conversation = Conversation::start(Some(9), more);
        let trial = conversation.say(&json!({"ask": {}}));
        assert_eq!(trial.get("until").map_or(9, |until| until.as_u64().expect("a number")), until);
    }
}

#[test]
fn a_trial_that_is_behind_is_told_to_stop_and_why() {
    let mut conversation = Conversation::start(Some(9), json!({"pruner": "asha_stop"}));
    for (id, value) in [(0, 1.0), (1, 2.0)] {
        conversation.say(&json!({"ask": {}}));
        let answer = conversation.say(&json!({"report": {"id": id, "step": 1, "value": value}}));
        let expected = if id == 0 {
            json!({"stop": false})
        } else {
            let reason = "behind the rung at step 1: number 2 of 2, of which 1 go on";
            json!({"stop": true, "reason": reason})
        };
        assert_eq!(answer, expected);
    }
    conversation.tell(&json!({"id": 1, "value": 2.0, "state": "pruned"}));
}

#[test]
fn the_same_start_gives_the_same_trials() {
    let run = || {
        let mut conversation = Conversation::start(None, json!({}));
        (0..30)
            .map(|id| {
                let trial = conversation.say(&json!({"ask": {}}));
                let value = loss(&trial["params"]);
                conversation.tell(&json!({"id": id, "value": value, "state": "complete"}));
                trial
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn settings_of_a_sampler_count() {
    let mut conversation = Conversation::start(None, json!({"sampler": {"kind": "grid", "points": 2}}));
    let mut places = std::collections::BTreeSet::new();
    // 5 numbers of layers; "adam" alone, and two others with 2 momenta.
    for id in 0..2 * 5 * (1 + 2 + 2) {
        let trial = conversation.say(&json!({"ask": {}}));
        places.insert(trial["params"]["x"].to_string());
        conversation.tell(&json!({"id": id, "value": 1.0, "state": "complete"}));
    }
    assert_eq!(conversation.say(&json!({"ask": {}})), json!({"done": true}));
    assert_eq!(places.len(), 2);
}

#[test]
fn a_population_says_whose_weights_a_trial_begins_with() {
    for sampler in ["pbt", "pb2"] {
        let more = json!({"sampler": {"kind": sampler, "size": 3, "interval": 3, "inherit": ["layers"]}});
        let mut conversation = Conversation::start(Some(9), more);
        // What each trial has come to at each step.
        let mut values: std::collections::BTreeMap<(u64, u64), f64> = std::collections::BTreeMap::new();
        let (mut forks, mut last) = (0, std::collections::BTreeMap::new());
        loop {
            let trial = conversation.say(&json!({"ask": {}}));
            if trial["done"] == true {
                break;
            }
            let id = trial["id"].as_u64().expect("a number");
            let until = trial.get("until").map_or(9, |until| until.as_u64().expect("a number"));
            let from = trial.get("from").map(|from| {
                forks += 1;
                let (id, step) =
                    (from["id"].as_u64().expect("a trial"), from["step"].as_u64().expect("a step"));
                assert!(step == 3 || step == 6, "{step}");
                (step, values[&(id, step)])
            });
            let (mut step, mut value) = from.or(last.get(&id).copied()).unwrap_or((0, 100.0));
            while step < until {
                step += 1;
                value -= 1.0 / (1.0 + loss(&trial["params"]));
                values.insert((id, step), value);
                conversation.say(&json!({"report": {"id": id, "step": step, "value": value}}));
            }
            last.insert(id, (step, value));
            let state = if until == 9 { "complete" } else { "paused" };
            conversation.tell(&json!({"id": id, "value": value, "state": state}));
        }
        assert_eq!((forks, last.len()), (2, 5), "{sampler}");
    }
}

#[test]
fn lines_that_cannot_be_followed_change_nothing() {
    let mut session = AskTell::default();
    let mut refused = |line: &str, expected: &str| {
        let reply = session.line(line).expect("a reply").expect("a reply");
        let reply: Value = serde_json::from_str(&reply).expect("JSON");
        let error = reply["error"].as_str().expect("an error");
        assert!(error.contains(expected), "{line}: {error}");
    };
    refused(r#"{"ask": {}}"#, "nothing has been started");
    refused("{", "not a JSON object");
    refused("[1]", "not a JSON object");
    refused(r#"{"aks": {}}"#, "expected one of start, ask, enqueue, report and tell, found [\"aks\"]");
    refused(r#"{"start": {"seed": 1}}"#, "start.problem: the key is missing");
    let with = |param: Value, more: Value| {
        let mut start = json!({"problem": {"params": [param]}});
        let (Value::Object(all), Value::Object(more)) = (&mut start, more) else { panic!("objects") };
        all.extend(more);
        json!({ "start": start }).to_string()
    };
    let x = json!({"name": "x", "type": "float", "low": 0, "high": 1});
    refused(
        &with(json!({"name": "x", "type": "real"}), json!({})),
        "param \"x\".type: expected one of float, int, cat, found \"real\"",
    );
    refused(&with(json!({"name": "x", "type": "float", "low": 0}), json!({})), "needs \"high\"");
    refused(&with(json!({"name": "x", "type": "int", "low": 0.5, "high": 1}), json!({})), "a whole number");
    refused(
        &with(json!({"name": "x", "type": "float", "low": 2, "high": 1}), json!({})),
        "above the high end",
    );
    refused(
        &with(x.clone(), json!({"sampler": "magic"})),
        "start.sampler: expected one of auto, random, sobol",
    );
    refused(&with(x.clone(), json!({"pruner": "magic"})), "one of none, median");
    assert_eq!(session.line(&with(x, json!({"seed": 1}))), Ok(Some(r#"{"ready":true}"#.to_owned())));

    let mut told = |line: &str, expected: &str| match session.line(line) {
        Err(AskTellError(reason)) => assert!(reason.contains(expected), "{line}: {reason}"),
        Ok(reply) => panic!("{line}: {reply:?}"),
    };
    told(r#"{"tell": {"id": 7, "value": 1, "state": "complete"}}"#, "trial 7 does not exist");
    told(
        r#"{"tell": {"id": 0, "value": 1, "state": "great"}}"#,
        "tell.state: expected one of complete, pruned, paused, failed, found \"great\"",
    );
    told(r#"{"tell": {"id": 0"#, "not a JSON object");
    assert_eq!(session.line("  "), Ok(None));

    let trial = session.line(r#"{"ask": {}}"#).expect("it goes on").expect("a reply");
    assert!(trial.starts_with(r#"{"id":0"#));
    let report = session.line(r#"{"report": {"id": 0, "step": 1, "value": NaN}}"#);
    assert_eq!(report, Ok(Some(r#"{"stop":false}"#.to_owned())));
    let again = session.line(r#"{"report": {"id": 0, "step": 1, "value": -Infinity}}"#).expect("a reply");
    assert!(again.is_some_and(|reply| reply.contains("step 1 after step 1")));
    assert_eq!(session.line(r#"{"tell": {"id": 0, "value": Infinity, "state": "complete"}}"#), Ok(None));
}

#[test]
fn several_objectives_and_constraints_are_learnt() {
    let params = json!([
        {"name": "x", "type": "float", "low": 0, "high": 1},
        {"name": "y", "type": "float", "low": 0, "high": 1},
    ]);
    let problem = json!({
        "directions": ["minimize", "maximize"], "params": params,
        "constraints": ["x + y <= 1", "weight <= 0.5"],
    });
    for sampler in ["auto", "tpe", "nsga2"] {
        let mut conversation = Conversation(AskTell::default());
        let start = json!({"start": {"problem": problem, "seed": 1, "sampler": sampler}});
        assert_eq!(conversation.say(&start), json!({"ready": true}));
        let mut missed = Vec::new();
        for id in 0..60 {
            let trial = conversation.say(&json!({"ask": {}}));
            let [x, y] = ["x", "y"].map(|name| trial["params"][name].as_f64().expect("a number"));
            assert!(x + y <= 1.0, "{trial}");
            missed.push(x > 0.5);
            let values = [x + (y - 0.2).abs(), x - (y - 0.2).abs()];
            let told = json!({"id": id, "values": values, "metrics": {"weight": x}, "state": "complete"});
            conversation.tell(&told);
        }
        let share = |part: &[bool]| part.iter().filter(|missed| **missed).count() as f64 / part.len() as f64;
        assert!(share(&missed[30..]) < 0.3, "{sampler}: {}", share(&missed[30..]));
    }
}

#[test]
fn trials_of_several_objectives_are_cut_short() {
    let params = json!([{"name": "x", "type": "float", "low": 0, "high": 1},
        {"name": "bad", "type": "float", "low": 0, "high": 1}]);
    let problem = json!({"directions": ["minimize", "minimize"], "params": params, "max_fidelity": 9});
    let mut conversation = Conversation(AskTell::default());
    assert_eq!(conversation.say(&json!({"start": {"problem": problem, "seed": 1}})), json!({"ready": true}));
    let (mut steps, mut whole) = (std::collections::BTreeMap::new(), Vec::new());
    for _ in 0..120 {
        let trial = conversation.say(&json!({"ask": {}}));
        let id = trial["id"].as_u64().expect("a number");
        let [x, bad] = ["x", "bad"].map(|name| trial["params"][name].as_f64().expect("a number"));
        let until = trial.get("until").map_or(9, |until| until.as_u64().expect("a number"));
        let values = |step: u64| [x * x + bad + 1.0 / step as f64, (1.0 - x) * (1.0 - x) + bad];
        let alone = conversation.say(&json!({"report": {"id": id, "step": 1, "value": 1.0}}));
        assert!(alone["error"].as_str().is_some_and(|error| error.contains("report `values`")), "{alone}");
        for step in steps.get(&id).map_or(1, |last| last + 1)..=until {
            let report = json!({"report": {"id": id, "step": step, "values": values(step)}});
            assert_eq!(conversation.say(&report), json!({"stop": false}));
        }
        steps.insert(id, until);
        let state = if until == 9 { "complete" } else { "paused" };
        conversation.tell(&json!({"id": id, "values": values(until), "state": state}));
        whole.extend((until == 9).then_some((x, bad)));
    }
    // Those that came to their end are from all of the front, x from 0 to 1 without what is bad for both.
    assert!(whole.len() >= 5 && steps.len() > 4 * whole.len(), "{} of {}", whole.len(), steps.len());
    let mean = whole.iter().map(|(_, bad)| bad).sum::<f64>() / whole.len() as f64;
    let (low, high) =
        whole.iter().fold((1.0_f64, 0.0_f64), |(low, high), (x, _)| (low.min(*x), high.max(*x)));
    assert!(mean < 0.2 && low < 0.35 && high > 0.65, "{mean} {low} {high}");
}

#[test]
fn what_several_objectives_need_is_asked_for() {
    let mut session = AskTell::default();
    let mut start = |more: &str| {
        let line = format!(
            r#"{{"start": {{"problem": {{"params": [{{"name": "x", "type": "float", "low": 0, "high": 1}}], {more}}}}}}}"#
        );
        session.line(&line).expect("a reply").expect("a reply")
    };
    for (more, reason) in [
        (r#""direction": "minimize", "directions": ["minimize"]"#, "not both"),
        (r#""directions": []"#, "found none"),
        (r#""directions": ["minimize", "up"]"#, "found \\\"up\\\""),
        (r#""constraints": ["x <"]"#, "found the end"),
        (r#""constraints": ["x < memory"]"#, "`x` is a parameter"),
        (r#""constraints": ["memory < 3"]"#, "`a <= b` or `a >= b`"),
        (r#""constraints": ["x < 'a'"]"#, "expected a number, found a"),
    ] {
        let reply = start(more);
        assert!(reply.contains(reason), "{more}: {reply}");
    }
    assert_eq!(
        start(r#""directions": ["minimize", "minimize"], "constraints": ["m <= 1"]"#),
        r#"{"ready":true}"#
    );
    let mut told = |line: &str| session.line(line).map_err(|error| error.to_string());
    assert!(told(r#"{"ask": {}}"#).is_ok());
    let refused = |found: Result<Option<String>, String>| found.expect_err("it is refused");
    let one = refused(told(r#"{"tell": {"id": 0, "value": 1, "state": "complete"}}"#));
    assert!(one.contains("`values`, one for each objective is missing"), "{one}");
    let three = refused(told(r#"{"tell": {"id": 0, "values": [1, 2, 3], "state": "complete"}}"#));
    assert!(three.contains("expected 2, one for each objective, found 3"), "{three}");
    let without = refused(told(r#"{"tell": {"id": 0, "values": [1, 2], "state": "complete"}}"#));
    assert!(without.contains("the metric `m` is missing"), "{without}");
    let line = r#"{"tell": {"id": 0, "values": [1, NaN], "metrics": {"m": 1}, "state": "complete"}}"#;
    assert_eq!(told(line), Ok(None));
}

#[test]
fn configurations_are_begun_with() {
    let start = json!({"enqueue": [{"x": 1, "momentum": 0.9}, {"layers": 3.0}]});
    let mut conversation = Conversation::start(None, start);
    let ask = |conversation: &mut Conversation| conversation.say(&json!({"ask": {}}))["params"].clone();
    let first = ask(&mut conversation);
    assert_eq!((&first["x"], &first["momentum"]), (&json!(1.0), &json!(0.9)));
    assert_ne!(first["opt"], "adam");
    assert_eq!(conversation.say(&json!({"enqueue": {"opt": "lion"}})), json!({"enqueued": 2}));
    assert_eq!(ask(&mut conversation)["layers"], 3);
    assert_eq!(ask(&mut conversation)["opt"], "lion");
    ask(&mut conversation);
    assert_eq!(conversation.say(&json!({"enqueue": {"x": -2.5}})), json!({"enqueued": 4}));
    assert_eq!(ask(&mut conversation)["x"], -2.5);
    for (given, message) in [
        (json!({"y": 1}), "starting point: `y`: expected a parameter of this study"),
        (json!({"layer": 1}), "did you mean `layers`?"),
        (json!({"x": 7}), "`x`: expected a value of -5.0 … 5.0, found 7"),
        (json!([1]), "enqueue: expected an object of parameters, found [1]"),
    ] {
        let reply = conversation.say(&json!({ "enqueue": given }));
        assert!(reply["error"].as_str().expect("an error").contains(message), "{reply}");
    }
}

#[test]
fn beliefs_and_roles_are_heard() {
    let mut start = json!({"problem": problem(None), "seed": 1});
    start["problem"]["params"][0]["prior"] = json!({"around": 2.5, "spread": 0.5});
    start["problem"]["params"][2]["role"] = json!("scientific");
    let mut conversation = Conversation(AskTell::default());
    assert_eq!(conversation.say(&json!({"start": start.clone()})), json!({"ready": true}));
    let mut options = std::collections::BTreeMap::new();
    for id in 0..12 {
        let trial = conversation.say(&json!({"ask": {}}));
        if id < 3 {
            assert_eq!(trial["params"]["x"], 2.5);
        }
        *options.entry(trial["params"]["opt"].as_str().expect("text").to_owned()).or_insert(0) += 1;
        let value = loss(&trial["params"]);
        conversation.tell(&json!({"id": id, "value": value, "state": "complete"}));
    }
    assert_eq!(options.values().collect::<Vec<_>>(), [&4; 3]);
    start["problem"]["params"][0]["prior"]["around"] = json!(9);
    let reply = conversation.say(&json!({ "start": start }));
    assert!(reply["error"].as_str().expect("an error").contains("`x`: expected a prior around"), "{reply}");
}
