//! What a `start` may not say, and what begins by it all the same.

use serde_json::{Value, json};

use super::{AskTell, AskTellError, Conversation, problem};

fn x() -> Value {
    json!({"name": "x", "type": "float", "low": 0, "high": 1})
}

/// `value` with the keys of `more`.
fn with(mut value: Value, more: Value) -> Value {
    let (Value::Object(all), Value::Object(more)) = (&mut value, more) else { panic!("objects") };
    all.extend(more);
    value
}

fn kind() -> Value {
    json!({"name": "kind", "type": "cat", "choices": ["a", "b"]})
}

/// What is said to a start with these parameters.
fn reply(params: &Value, of_problem: Value, of_start: Value) -> String {
    let problem = with(json!({ "params": params }), of_problem);
    let start = json!({"start": with(json!({ "problem": problem }), of_start)});
    AskTell::default().line(&start.to_string()).expect("a reply").expect("a reply")
}

#[test]
fn a_population_that_makes_no_sense_is_refused() {
    for (fidelity, more, expected) in [
        (Value::Null, json!({}), "give start.problem.max_fidelity"),
        (json!(9), json!({"pruner": "asha"}), "takes no pruner"),
        (
            json!(9),
            json!({"sampler": {"kind": "pbt", "size": 1}}),
            "start.sampler.size: expected a whole number of 2 or more, found the whole number 1",
        ),
        (json!(9), json!({"sampler": {"kind": "pb2", "quantile": 0.7}}), "a number above 0, up to 0.5"),
    ] {
        let mut start = json!({"problem": problem(None), "sampler": "pbt"});
        start["problem"]["max_fidelity"] = fidelity;
        let (Value::Object(all), Value::Object(more)) = (&mut start, more) else { panic!("objects") };
        all.extend(more);
        let reply = AskTell::default()
            .line(&json!({ "start": start }).to_string())
            .expect("a reply")
            .expect("a reply");
        assert!(reply.contains(expected), "{reply}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let of_x = |more: Value| json!([with(x(), more)]);
    for (params, of_problem, of_start, expected) in [
        (json!([x()]), json!({}), json!({"warm_start": ["a"]}), "start.warm_start: expected nothing"),
        (
            json!([x()]),
            json!({}),
            json!({"seed": -1}),
            "start.seed: expected a whole number, 0 or more, found -1",
        ),
        (
            json!([x()]),
            json!({"constraints": "x < 1"}),
            json!({}),
            "start.problem.constraints: expected a list",
        ),
        (
            json!([x()]),
            json!({"max_fidelity": 0}),
            json!({}),
            "start.problem.max_fidelity: expected a whole number of 1",
        ),
        (
            of_x(json!({"low": "a"})),
            json!({}),
            json!({}),
            "param \\\"x\\\".low: expected a number, found \\\"a\\\"",
        ),
        (of_x(json!({"role": "scientfic"})), json!({}), json!({}), "did you mean \\\"scientific\\\"?"),
        (of_x(json!({"role": "fixed"})), json!({}), json!({}), "expected a value to keep to"),
        (of_x(json!({"step": 2})), json!({}), json!({}), "the step 2.0 is wider than the range"),
        (
            of_x(json!({"prior": {"around": 0.5}})),
            json!({}),
            json!({"sampler": "sobol"}),
            "makes use of priors: auto",
        ),
        (
            json!([{"name": "c", "type": "cat", "choices": ["a", null]}]),
            json!({}),
            json!({}),
            "choices[1]: expected a number, text",
        ),
        (
            json!([{"name": "c", "type": "cat", "choices": [1, 1.0]}]),
            json!({}),
            json!({}),
            "the option 1.0 appears twice",
        ),
        (
            json!([kind(), with(x(), json!({"if": [{"param": "kind", "in": []}]}))]),
            json!({}),
            json!({}),
            "found none",
        ),
        (
            json!([kind(), with(x(), json!({"if": [{"param": "kind", "in": ["c"]}]}))]),
            json!({}),
            json!({}),
            "expected values of \\\"kind\\\", a | b, found c",
        ),
        (
            json!([x()]),
            json!({}),
            json!({"sampler": "grid", "enqueue": [{"x": 0.3}]}),
            "start.enqueue: expected nothing",
        ),
        (
            json!([x()]),
            json!({}),
            json!({"sampler": {"kind": "tpe", "candidate": 4}}),
            "did you mean `candidates`?",
        ),
        (json!([x()]), json!({}), json!({"enqueue": [{"x": "a"}]}), "start.enqueue[0]: starting point: `x`"),
        (json!([x()]), json!({"constraints": ["x > 2"]}), json!({}), "problem.constraints: of 10,000 random"),
        (
            json!([x()]),
            json!({"constraints": ["x < 0.5"]}),
            json!({"enqueue": [{"x": 0.1}, {"x": 0.9}]}),
            "start.enqueue[1]: starting point: `x`: expected values that keep the constraint `x < 0.5`, found x = 0.9",
        ),
        (
            json!([x()]),
            json!({"max_fidelity": 9}),
            json!({"pruner": {"kind": "patient", "patience": 2, "pruner": "asha"}}),
            "expected a pruner that stops trials",
        ),
    ] {
        let said = reply(&params, of_problem, of_start);
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn what_a_population_makes_no_use_of_is_refused() {
    let curves = || json!({"max_fidelity": 9});
    let pbt = |more: Value| with(json!({"sampler": "pbt"}), more);
    for (params, of_problem, of_start, expected) in [
        (json!([x()]), json!({"directions": ["minimize", "minimize"]}), json!({}), "one objective"),
        (
            json!([with(x(), json!({"prior": {"around": 0.5}}))]),
            json!({}),
            json!({}),
            "a sampler that makes use of priors",
        ),
        (json!([with(kind(), json!({"role": "scientific"})), x()]), json!({}), json!({}), "scientific"),
        (json!([x()]), json!({}), json!({"sampler": {"kind": "pbt", "inherit": ["zz"]}}), "found \\\"zz\\\""),
        (json!([x()]), json!({}), json!({"sampler": {"kind": "pbt", "sise": 4}}), "did you mean `size`?"),
        (
            json!([x()]),
            json!({}),
            json!({"sampler": {"kind": "pbt", "size": 2}, "enqueue": [{"x": 0.1}, {"x": 0.2}, {"x": 0.3}]}),
            "start.enqueue[2]: a population begins with 2 configurations",
        ),
    ] {
        let said = reply(&params, with(curves(), of_problem), pbt(of_start));
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn a_population_begins_with_what_is_given_and_keeps_constraints() {
    let names = ["x", "y"].map(|name| json!({"name": name, "type": "float", "low": 0, "high": 1}));
    let problem = json!({"max_fidelity": 6, "params": names, "constraints": ["x < y"]});
    let start = json!({"start": {
        "problem": problem, "enqueue": [{"x": 0.25, "y": 0.5}, {"x": 0.9}],
        "sampler": {"kind": "pb2", "size": 4, "interval": 1, "quantile": 0.5, "inherit": null},
    }});
    let mut conversation = Conversation(AskTell::default());
    assert_eq!(conversation.say(&start), json!({"ready": true}));
    let mut last: std::collections::BTreeMap<u64, u64> = std::collections::BTreeMap::new();
    for number in 0.. {
        let trial = conversation.say(&json!({"ask": {}}));
        if trial["done"] == true {
            break;
        }
        let [x, y] = ["x", "y"].map(|name| trial["params"][name].as_f64().expect("a number"));
        assert!(x < y, "{trial}");
        match number {
            0 => assert_eq!((x, y), (0.25, 0.5)),
            1 => assert_eq!(x, 0.9),
            4.. => assert!(conversation.say(&json!({"enqueue": {"x": 0.1}}))["error"].is_string()),
            _ => {}
        }
        let id = trial["id"].as_u64().expect("a number");
        let from = trial.get("from").and_then(|from| from["step"].as_u64()).unwrap_or(0);
        let begun = last.get(&id).copied().unwrap_or(from);
        let until = trial.get("until").map_or(6, |until| until.as_u64().expect("a number"));
        for step in begun + 1..=until {
            conversation.say(&json!({"report": {"id": id, "step": step, "value": x + 1.0 / step as f64}}));
        }
        last.insert(id, until);
        let state = if until == 6 { "complete" } else { "paused" };
        conversation.tell(&json!({"id": id, "value": x, "state": state}));
    }
    assert!(last.len() > 10, "{last:?}");
}

#[test]
fn a_fixed_parameter_has_one_value_and_others_go_by_it() {
    let params = json!([
        with(kind(), json!({"role": "fixed", "prior": {"around": "b"}})),
        with(x(), json!({"if": [{"param": "kind", "in": ["a"]}]})),
        {"name": "y", "type": "float", "low": 0, "high": 1, "if": [{"param": "kind", "in": ["a", "b"]}]},
        {"name": "n", "type": "int", "low": 1, "high": 5, "role": "fixed", "prior": {"around": 3.0}},
    ]);
    let mut conversation = Conversation(AskTell::default());
    let start = json!({"start": {"problem": {"params": params}, "enqueue": [{"y": 0.5}]}});
    assert_eq!(conversation.say(&start), json!({"ready": true}));
    let first = conversation.say(&json!({"ask": {}}));
    assert_eq!(first["params"], json!({"kind": "b", "y": 0.5, "n": 3}));
    let second = conversation.say(&json!({"ask": {}}));
    assert_eq!((&second["params"]["kind"], &second["params"]["n"]), (&json!("b"), &json!(3)));
}

#[test]
fn reports_are_of_steps_that_there_are() {
    let mut conversation = Conversation::start(Some(9), json!({}));
    conversation.say(&json!({"ask": {}}));
    for (step, expected) in
        [(0, "report.step: expected a whole number of 1 or more, found 0"), (10, "from 1 to 9")]
    {
        let reply = conversation.say(&json!({"report": {"id": 0, "step": step, "value": 1}}));
        assert!(reply["error"].as_str().expect("an error").contains(expected), "{reply}");
    }
    assert_eq!(
        conversation.say(&json!({"report": {"id": 0, "step": 1, "value": 1}})),
        json!({"stop": false})
    );
}

#[test]
fn keys_that_mean_nothing_are_named() {
    let param = with(x(), json!({"prior": {"around": 0.5, "spraed": 1}, "unit": "m"}));
    let problem = json!({"name": "a", "noisy": true, "constraint": ["x < 1"], "params": [kind(), param]});
    let start = json!({"start": {"problem": problem, "sead": 1, "trials": null}});
    let reply = AskTell::default().line(&start.to_string()).expect("a reply").expect("a reply");
    let reply: Value = serde_json::from_str(&reply).expect("JSON");
    assert_eq!(reply["ready"], true, "{reply}");
    let ignored = reply["ignored"].as_array().expect("a list");
    for expected in [
        "start.problem.constraint (did you mean `constraints`?)",
        "start.problem.params[1].prior.spraed (did you mean `spread`?)",
        "start.problem.params[1].unit",
        "start.sead (did you mean `seed`?)",
    ] {
        assert!(ignored.contains(&json!(expected)), "{expected}: {ignored:?}");
    }
    assert_eq!(ignored.len(), 4);
}

#[test]
fn a_trial_pauses_where_it_was_to() {
    let mut conversation = Conversation::start(Some(9), json!({"sampler": "pbt"}));
    let trial = conversation.say(&json!({"ask": {}}));
    assert_eq!((&trial["id"], &trial["until"]), (&json!(0), &json!(1)));
    let paused = json!({"tell": {"id": 0, "state": "paused"}}).to_string();
    let AskTellError(reason) = conversation.0.line(&paused).expect_err("nothing was reported");
    assert!(reason.contains("trial 0 pauses at step 1, and its last report is of step 0"), "{reason}");
    conversation.say(&json!({"report": {"id": 0, "step": 1, "value": 0.5}}));
    assert_eq!(conversation.0.line(&paused), Ok(None));
    let mut conversation = Conversation::start(Some(9), json!({"sampler": "random", "pruner": "none"}));
    conversation.say(&json!({"ask": {}}));
    conversation.say(&json!({"report": {"id": 0, "step": 1, "value": 0.5}}));
    let AskTellError(reason) = conversation.0.line(&paused).expect_err("it has no `until`");
    assert!(reason.contains("trial 0 runs to its end, and does not pause"), "{reason}");
}
