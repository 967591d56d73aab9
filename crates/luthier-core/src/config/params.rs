//! Values of parameters in a file: `{ "train.batch_size" = 32 }`, or the same as tables within tables.

use super::path::join;
use super::{Decode, Kind, Node, Problems};
use crate::{Params, Value};

impl Decode for Params {
    const EXPECTED: &'static str = "a table of parameters with their values";

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        if node.as_table().is_none() {
            problems.add(node.line, path, Self::EXPECTED, node.describe());
            return None;
        }
        let mut params = Self::new();
        flatten(node, "", path, &mut params, problems).then_some(params)
    }

    fn written(&self) -> Option<String> {
        let text = |value: &Value| match value {
            Value::Text(text) => format!("{text:?}"),
            other => other.to_string(),
        };
        let keys: Vec<String> =
            self.iter().map(|(name, value)| format!("{name:?} = {}", text(value))).collect();
        Some(format!("{{ {} }}", keys.join(", ")))
    }
}

/// Adds the values of a table; names of tables within it are joined by dots.
fn flatten(node: &Node, name: &str, path: &str, params: &mut Params, problems: &mut Problems) -> bool {
    match (&node.kind, node.as_value()) {
        (Kind::Table(table), _) => {
            let each =
                table.iter().map(|(key, child)| flatten(child, &join(name, key), path, params, problems));
            each.fold(true, |all, one| all & one)
        }
        (_, Some(value)) => {
            params.insert(name.to_owned(), value);
            true
        }
        (_, None) => {
            problems.add(node.line, &join(path, name), "a value", node.describe());
            false
        }
    }
}
