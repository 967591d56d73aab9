//! Paths: what the places of a file are called.
//!
//! An element of a list goes by its `name`, else by its kind and its ordinal among that kind; an option
//! of a choice by its `name`, else its kind. The kind of a table is its key `kind`, else its first key.

use indexmap::IndexMap;

use super::{Kind, Node};
use crate::Value;

pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn kind_of(node: &Node) -> Option<&str> {
    let table = node.as_table()?;
    table
        .get("kind")
        .and_then(Node::as_str)
        .or_else(|| table.keys().find(|key| *key != "name").map(String::as_str))
}

fn name_of(node: &Node) -> Option<&str> {
    // The `name` of a range is the parameter's, not the element's.
    let table = node.as_table()?;
    let is_range = ["float", "int", "choice"].iter().any(|key| table.contains_key(*key));
    if is_range { None } else { table.get("name").and_then(Node::as_str) }
}

/// What the elements of a list are called: `name`, or kind and ordinal, or the ordinal alone.
pub(super) fn element_labels(nodes: &[Node]) -> Vec<String> {
    let mut counts: IndexMap<&str, usize> = IndexMap::new();
    nodes
        .iter()
        .enumerate()
        .map(|(i, node)| match (name_of(node), kind_of(node)) {
            (Some(name), _) => name.to_owned(),
            (None, Some(kind)) => {
                let count = counts.entry(kind).or_insert(0);
                *count += 1;
                format!("{kind}{count}")
            }
            (None, None) => (i + 1).to_string(),
        })
        .collect()
}

/// What the options of a choice are called: a value is its own label, a table goes by its `name` or
/// kind, with an ordinal only where that is not enough.
pub(super) fn option_labels(nodes: &[Node]) -> Vec<Value> {
    let words: Vec<Option<&str>> = nodes.iter().map(|node| name_of(node).or_else(|| kind_of(node))).collect();
    let mut counts: IndexMap<&str, usize> = IndexMap::new();
    nodes
        .iter()
        .zip(&words)
        .enumerate()
        .map(|(i, (node, word))| match (node.as_value(), word) {
            (Some(value), _) => value,
            (None, Some(word)) => {
                let count = counts.entry(word).or_insert(0);
                *count += 1;
                let alone = words.iter().filter(|other| *other == &Some(*word)).count() == 1;
                Value::Text(if alone { (*word).to_owned() } else { format!("{word}{count}") })
            }
            (None, None) => Value::Text(format!("option{}", i + 1)),
        })
        .collect()
}

impl Node {
    /// Puts `value` in the place of what stands at `path`, or adds it there: the `--set` of the
    /// command line. Elements of lists go by the same names as in the parameters' paths.
    ///
    /// # Errors
    ///
    /// A message that names the part of the path that does not exist.
    pub fn set(&mut self, path: &str, value: Self) -> Result<(), String> {
        let mut here = self;
        let mut walked = String::new();
        let mut parts = path.split('.').peekable();
        while let Some(part) = parts.next() {
            let parent = walked.clone();
            walked = join(&parent, part);
            let last = parts.peek().is_none();
            let described = here.describe();
            match &mut here.kind {
                Kind::Table(table) => {
                    if last {
                        let line = table.get(part).map_or(0, |node| node.line);
                        table.insert(part.to_owned(), Self { line, ..value });
                        return Ok(());
                    }
                    let keys: Vec<String> = table.keys().cloned().collect();
                    // A section that the file leaves out may be begun; deeper, a missing key is a slip.
                    if parent.is_empty() && !table.contains_key(part) {
                        table.insert(part.to_owned(), Self::new(Kind::Table(IndexMap::new())));
                    }
                    here = table.get_mut(part).ok_or_else(|| missing(&parent, part, &keys))?;
                }
                Kind::Array(items) => {
                    let labels = element_labels(items);
                    let at = labels.iter().position(|label| label == part);
                    let at = at.ok_or_else(|| missing(&parent, part, &labels))?;
                    if last {
                        let line = items[at].line;
                        items[at] = Self { line, ..value };
                        return Ok(());
                    }
                    here = &mut items[at];
                }
                _ => return Err(format!("`{parent}` is {described}: there is no `{part}` in it")),
            }
        }
        Err("the path is empty".to_owned())
    }
}

impl Node {
    /// What [`Node::set`] has to set to make `other` of this tree, as far as their sections `sections` go: TOML by path.
    pub fn changes_to(&self, other: &Self, sections: &[&str]) -> IndexMap<String, String> {
        let mut changes = IndexMap::new();
        for section in sections {
            if let (Some(this), Some(other)) = (self.get(section), other.get(section)) {
                differ(this, other, section, &mut changes);
            }
        }
        changes
    }
}

fn differ(this: &Node, other: &Node, path: &str, changes: &mut IndexMap<String, String>) {
    match (&this.kind, &other.kind) {
        (Kind::Table(a), Kind::Table(b)) if a.len() == b.len() && a.keys().all(|key| b.contains_key(key)) => {
            for (key, this) in a {
                differ(this, &b[key], &join(path, key), changes);
            }
        }
        (Kind::Array(a), Kind::Array(b)) if element_labels(a) == element_labels(b) => {
            for ((this, other), label) in a.iter().zip(b).zip(element_labels(a)) {
                differ(this, other, &join(path, &label), changes);
            }
        }
        _ if this.inline(0) == other.inline(0) => {}
        _ => {
            changes.insert(path.to_owned(), other.inline(0));
        }
    }
}

fn missing(parent: &str, part: &str, there: &[String]) -> String {
    let place = if parent.is_empty() { "the file".to_owned() } else { format!("`{parent}`") };
    format!("there is no `{part}` in {place}; there is {}", there.join(", "))
}
