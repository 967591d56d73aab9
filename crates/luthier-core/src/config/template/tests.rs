//! Templates: names of parameters, filling in, and what is wrong with ranges.

use super::*;
use crate::Distribution;
use crate::{Purpose, Streams};

const FILE: &str = r#"
[study]
name = "a"

[model]
layers = [
  { conv = { int = [16, 64], log = true }, kernel = 5 },
  { conv = 32, kernel = { choice = [3, 5] }, name = "second" },
  { repeat = { int = [0, 2] }, layer = { dense = { int = [8, 16] }, activation = "relu" } },
  { repeat = 2, tie = true, layer = { dense = { int = [4, 5] } } },
]

[train]
epochs = 10
width = { param = "model.layers.conv1.conv" }

[[train.optimizer.choice]]
kind = "adam"
rate = { float = [1e-4, 1], log = true }

[[train.optimizer.choice]]
kind = "sgd"
rate = { float = [0.5, 2], step = 0.5, name = "sgd_rate" }
"#;

const POLICY: Policy = Policy {
    allowed: &["model", "train", "params"],
    refused: &[("train.epochs", "every trial runs the same number of epochs")],
};

fn template(text: &str) -> Result<Template, Problems> {
    Template::new(&Node::parse(text, "study.toml")?, "study.toml", &POLICY)
}

#[test]
fn parameters_are_called_by_their_paths() {
    let template = template(FILE).unwrap();
    let names: Vec<&str> = template.space().iter().map(|p| p.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "model.layers.conv1.conv",
            "model.layers.second.kernel",
            "model.layers.repeat1.repeat",
            "model.layers.repeat1.layer1.dense",
            "model.layers.repeat1.layer2.dense",
            "model.layers.repeat2.layer.dense",
            "train.optimizer",
            "train.optimizer.adam.rate",
            "sgd_rate",
        ]
    );
    assert_eq!(template.line("model.layers.second.kernel"), Some(8));
}

#[test]
fn filling_puts_values_in_the_places_of_ranges() {
    let template = template(FILE).unwrap();
    let mut rng = Streams::new(0).at(Purpose::Sampler, 0);
    let mut lengths = [0; 3];
    for _ in 0..60 {
        let params = template.space().sample(&mut rng);
        let filled = template.fill(&params).unwrap();
        let again = Node::parse(&filled.to_toml(), "again.toml").unwrap();
        let refilled = Template::new(&again, "again.toml", &POLICY).unwrap();
        assert!(refilled.space().is_empty(), "a filled-in file has no ranges:\n{}", filled.to_toml());
        assert_eq!(again.to_toml(), filled.to_toml());

        let Kind::Array(layers) = &filled.get("model").unwrap().get("layers").unwrap().kind else { panic!() };
        let repeats = params["model.layers.repeat1.repeat"].as_i64().unwrap();
        lengths[repeats as usize] += 1;
        assert_eq!(layers.len(), 4 + repeats as usize);
        assert_eq!(layers[layers.len() - 1], layers[layers.len() - 2], "tied copies are equal");
        let width = filled.get("train").unwrap().get("width").unwrap().as_value().unwrap();
        assert_eq!(width, params["model.layers.conv1.conv"]);
        let optimizer = filled.get("train").unwrap().get("optimizer").unwrap();
        assert_eq!(optimizer.get("kind").unwrap().as_value().as_ref(), params.get("train.optimizer"));
    }
    assert!(lengths.iter().all(|n| *n > 5), "{lengths:?}");
}

#[test]
fn parameters_stand_somewhere_whatever_they_are_called() {
    let template = template(FILE).unwrap();
    for (name, place) in [
        ("model.layers.second.kernel", "model.layers.*.kernel"),
        ("model.layers.repeat1.repeat", "model.layers.*.repeat"),
        ("model.layers.repeat1.layer2.dense", "model.layers.*.dense"),
        ("train.optimizer", "train.optimizer"),
        ("sgd_rate", "train.optimizer.rate"),
    ] {
        assert_eq!(template.place(name).as_deref(), Some(place), "{name}");
    }
    assert_eq!(template.place("rate"), None);
}

#[test]
fn what_makes_one_file_of_another_can_be_set() {
    let template = template(FILE).unwrap();
    let mut rng = Streams::new(1).at(Purpose::Sampler, 0);
    let sections = ["model", "train"];
    for _ in 0..40 {
        let [one, other] = [(); 2].map(|()| template.fill(&template.space().sample(&mut rng)).unwrap());
        let mut changed = one.clone();
        for (path, value) in one.changes_to(&other, &sections) {
            changed.set(&path, Node::parse_value(&value)).unwrap();
        }
        assert_eq!(changed.to_toml(), other.to_toml());
        assert!(one.changes_to(&one, &sections).is_empty());
    }
    // No more than what differs.
    let [one, other] = ["a = { b = 1, c = [2, { d = 3 }] }", "a = { b = 1, c = [2, { d = 4 }] }"]
        .map(|text| Node::parse(text, "t").unwrap());
    let changes = one.changes_to(&other, &["a"]);
    assert_eq!(changes.into_iter().collect::<Vec<_>>(), [("a.c.d1.d".to_owned(), "4".to_owned())]);
}

#[test]
fn a_file_without_ranges_is_itself() {
    let text = "[study]\nname = \"a\"\n\n[train]\nepochs = 3\nrates = [0.1, 1e-5]\n";
    let template = template(text).unwrap();
    assert_eq!(template.fill(&Params::new()).unwrap().to_toml(), text);
}

fn problems(text: &str) -> String {
    template(text).unwrap_err().to_string()
}

#[test]
fn problems_name_line_path_expected_and_found() {
    let found = problems(
        "[study]\nname = { choice = [\"a\", \"b\"] }\n[train]\nepochs = { int = [1, 2] }\na = { float = [2, 1] }\n\
         b = { float = [0, 1], log = true }\nc = { choice = [] }\nd = { int = [1, 2.5] }\n\
         e = { float = [0, 1], lgo = true }\nf = { param = \"train.aa\" }\n",
    );
    insta::assert_snapshot!(found);
}

#[test]
fn text_that_is_no_toml_is_reported_at_its_line() {
    insta::assert_snapshot!(problems("[study]\nname = \"a\"\nname = \"b\"\n"), @r"
    study.toml:3
      expected a TOML file (https://toml.io)
      found    duplicate key
    ");
    insta::assert_snapshot!(problems("[study\n"), @r"
    study.toml:1
      expected a TOML file (https://toml.io)
      found    unclosed table, expected `]`
    ");
}

#[test]
fn set_replaces_by_path() {
    let mut root = Node::parse(FILE, "study.toml").unwrap();
    root.set("train.epochs", Node::parse_value("3")).unwrap();
    root.set("model.layers.conv1.conv", Node::parse_value("{ int = [1, 2] }")).unwrap();
    root.set("train.optimizer", Node::parse_value("adam")).unwrap();
    root.set("search.trials", Node::parse_value("7")).unwrap();
    let template = Template::new(&root, "study.toml", &POLICY).unwrap();
    assert_eq!(
        template.space().get("model.layers.conv1.conv").unwrap().distribution,
        Distribution::int(1, 2)
    );
    assert!(template.space().get("train.optimizer").is_none());
    let filled = template.fill(&template.space().corners()[0]).unwrap();
    assert_eq!(filled.get("search").unwrap().get("trials").unwrap().as_value(), Some(Value::Int(7)));

    insta::assert_snapshot!(root.set("model.layers.conv3.conv", Node::parse_value("1")).unwrap_err(),
        @"there is no `conv3` in `model.layers`; there is conv1, second, repeat1, repeat2");
    insta::assert_snapshot!(root.set("study.name.x", Node::parse_value("1")).unwrap_err(),
        @r#"`study.name` is the text "a": there is no `x` in it"#);
}
