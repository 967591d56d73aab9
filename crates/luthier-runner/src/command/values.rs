//! What a program is told of its trial: the values of `[params]` as text, as environment variables and as JSON.
//!
//! A value goes by its place in the filled-in section, `optimizer.learning_rate`, so that a file with ranges and one without
//! tell it alike.

use luthier_core::config::{Kind, Node};
use serde_json::{Map, Value as Json};

/// The values of a filled-in section `[params]`, in its order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Values(Vec<(String, String)>);

/// The environment variable of a value: `optimizer.learning-rate` as `LUTHIER_PARAM_OPTIMIZER_LEARNING_RATE`.
pub(super) fn variable(name: &str) -> String {
    let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("LUTHIER_PARAM_{}", name.chars().map(upper).collect::<String>())
}

impl Values {
    pub(super) fn of(params: Option<&Node>) -> Self {
        let mut values = Self::default();
        if let Some(params) = params {
            values.add(params, "");
        }
        values
    }

    fn add(&mut self, node: &Node, path: &str) {
        match node.as_table() {
            Some(table) => {
                for (key, node) in table {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    self.add(node, &path);
                }
            }
            None => self.0.push((path.to_owned(), text(node))),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, text)| text.clone())
    }

    /// Environment variables with their values; the names of two values that would be one variable where there are such.
    pub(super) fn variables(&self) -> Result<Vec<(String, String)>, (String, String)> {
        let mut variables: Vec<(String, String)> = Vec::new();
        for (place, (name, text)) in self.0.iter().enumerate() {
            let own = variable(name);
            if let Some(other) = variables.iter().position(|(known, _)| *known == own) {
                return Err((self.0[place].0.clone(), self.0[other].0.clone()));
            }
            variables.push((own, text.clone()));
        }
        Ok(variables)
    }
}

/// A value as text: numbers so that they read back as the same bits, lists as JSON.
fn text(node: &Node) -> String {
    node.as_value().map_or_else(|| json(node).to_string(), |value| value.to_string())
}

/// A tree as JSON.
pub(super) fn json(node: &Node) -> Json {
    match &node.kind {
        Kind::Bool(b) => Json::from(*b),
        Kind::Int(i) => Json::from(*i),
        // NaN and the infinities, which JSON does not have, as text.
        Kind::Float(x) => {
            serde_json::Number::from_f64(*x).map_or_else(|| Json::from(x.to_string()), Json::from)
        }
        Kind::Text(text) => Json::from(text.as_str()),
        Kind::Array(items) => items.iter().map(json).collect(),
        Kind::Table(table) => {
            Json::Object(table.iter().map(|(key, node)| (key.clone(), json(node))).collect::<Map<_, _>>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_by_their_places() {
        let file = Node::parse(
            "[params]\nlr = 1e-5\nlayers = [64, 32]\noptimizer = { kind = \"sgd\", nesterov = true }\nempty = {}",
            "",
        )
        .unwrap();
        let params = file.get("params");
        let values = Values::of(params);
        assert_eq!(values.names(), ["lr", "layers", "optimizer.kind", "optimizer.nesterov"]);
        assert_eq!(values.text("lr").as_deref(), Some("1e-5"));
        assert_eq!(values.text("layers").as_deref(), Some("[64,32]"));
        assert_eq!(values.text("optimizer.nesterov").as_deref(), Some("true"));
        assert_eq!(values.text("optimizer"), None);
        let variables = values.variables().unwrap();
        assert_eq!(variables[2], ("LUTHIER_PARAM_OPTIMIZER_KIND".to_owned(), "sgd".to_owned()));
        let expected =
            r#"{"lr":0.00001,"layers":[64,32],"optimizer":{"kind":"sgd","nesterov":true},"empty":{}}"#;
        assert_eq!(params.map(|params| json(params).to_string()).as_deref(), Some(expected));
    }

    #[test]
    fn two_values_are_not_one_variable() {
        let file = Node::parse("[params]\na-b = 1\na_b = 2", "").unwrap();
        let clash = Values::of(file.get("params")).variables().unwrap_err();
        assert_eq!(clash, ("a_b".to_owned(), "a-b".to_owned()));
    }
}
