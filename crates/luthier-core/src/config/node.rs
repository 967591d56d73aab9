//! The tree of a TOML file, with the line of each value.

use indexmap::IndexMap;
use toml_edit::{Item, TableLike};

use super::{Problem, Problems};
use crate::Value;

/// A value of a file: what it is and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its line, from 1; 0 where it does not come from a file.
    pub line: usize,
    /// What it is.
    pub kind: Kind,
    /// The parameter whose value was put here, if it was a range.
    pub filled_from: Option<String>,
}

/// What a [`Node`] is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    Array(Vec<Node>),
    /// A table, in the order of the file.
    Table(IndexMap<String, Node>),
}

impl Node {
    /// A node that does not come from a file.
    pub fn new(kind: Kind) -> Self {
        Self { line: 0, kind, filled_from: None }
    }

    /// Reads a TOML file.
    ///
    /// # Errors
    ///
    /// [`Problems`] with the first place where the text is no TOML.
    pub fn parse(text: &str, file: &str) -> Result<Self, Problems> {
        let mut problems = Problems::new(file);
        let lines = Lines::new(text);
        let document = match toml_edit::Document::parse(text) {
            Ok(document) => document,
            Err(error) => {
                problems.push(Problem {
                    line: error.span().map(|span| lines.of(span.start)),
                    path: String::new(),
                    expected: "a TOML file (https://toml.io)".to_owned(),
                    found: error.message().trim().replace('\n', ", "),
                    help: None,
                });
                return Err(problems);
            }
        };
        let root = table(document.as_table(), &lines, "", 1, &mut problems);
        problems.or(Some(root))
    }

    /// Reads the value of a `--set PATH=VALUE`: TOML, or text without its quotes.
    pub fn parse_value(text: &str) -> Self {
        let parsed = Self::parse(&format!("value = {text}"), "");
        let value = parsed.ok().and_then(|root| match root.kind {
            Kind::Table(mut table) if table.len() == 1 => table.swap_remove("value"),
            _ => None,
        });
        value.unwrap_or_else(|| Self::new(Kind::Text(text.to_owned()))).without_lines()
    }

    fn without_lines(mut self) -> Self {
        self.line = 0;
        match &mut self.kind {
            Kind::Array(items) => {
                for item in items {
                    *item = std::mem::replace(item, Self::new(Kind::Bool(false))).without_lines();
                }
            }
            Kind::Table(table) => {
                for (_, item) in table.iter_mut() {
                    *item = std::mem::replace(item, Self::new(Kind::Bool(false))).without_lines();
                }
            }
            _ => {}
        }
        self
    }

    /// The table's entry of this key.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_table()?.get(key)
    }

    /// The table, if it is one.
    pub fn as_table(&self) -> Option<&IndexMap<String, Self>> {
        match &self.kind {
            Kind::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value, if it is not a list or a table.
    pub fn as_value(&self) -> Option<Value> {
        Some(match &self.kind {
            Kind::Bool(b) => Value::Bool(*b),
            Kind::Int(i) => Value::Int(*i),
            Kind::Float(x) => Value::Float(*x),
            Kind::Text(text) => Value::Text(text.clone()),
            Kind::Array(_) | Kind::Table(_) => return None,
        })
    }

    /// A few words on what it is, for an error message.
    pub fn describe(&self) -> String {
        let what = match &self.kind {
            Kind::Bool(b) => format!("{b}"),
            Kind::Int(i) => format!("the whole number {i}"),
            Kind::Float(x) => format!("the number {x:?}"),
            Kind::Text(text) => format!("the text {text:?}"),
            Kind::Array(items) => format!("a list of {}", items.len()),
            Kind::Table(table) if table.is_empty() => "an empty table".to_owned(),
            Kind::Table(table) => {
                let keys: Vec<&str> = table.keys().map(String::as_str).collect();
                format!("a table with {}", keys.join(", "))
            }
        };
        match &self.filled_from {
            Some(_) => format!("{what}, to which the range leads"),
            None => what,
        }
    }

    /// The tree as a TOML file: a section for each table at the top, all else within it.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        let Some(root) = self.as_table() else { return text };
        for (key, value) in root {
            if value.as_table().is_none() {
                text += &format!("{} = {}\n", toml_key(key), value.inline(0));
            }
        }
        for (section, value) in root {
            let Some(entries) = value.as_table() else { continue };
            if !text.is_empty() {
                text.push('\n');
            }
            text += &format!("[{}]\n", toml_key(section));
            for (key, value) in entries {
                text += &format!("{} = {}\n", toml_key(key), value.inline(0));
            }
        }
        text
    }

    pub(super) fn inline(&self, depth: usize) -> String {
        match &self.kind {
            Kind::Bool(b) => b.to_string(),
            Kind::Int(i) => i.to_string(),
            Kind::Float(x) if x.is_nan() => "nan".to_owned(),
            Kind::Float(x) if x.is_infinite() => if *x > 0.0 { "inf" } else { "-inf" }.to_owned(),
            Kind::Float(x) => format!("{x:?}"),
            Kind::Text(text) => toml_edit::Value::from(text.as_str()).to_string(),
            Kind::Array(items) => {
                let parts: Vec<String> = items.iter().map(|item| item.inline(depth + 1)).collect();
                if items.iter().any(|item| item.as_table().is_some()) {
                    let indent = "  ".repeat(depth + 1);
                    let lines: String = parts.iter().map(|part| format!("{indent}{part},\n")).collect();
                    format!("[\n{lines}{}]", "  ".repeat(depth))
                } else {
                    format!("[{}]", parts.join(", "))
                }
            }
            Kind::Table(table) if table.is_empty() => "{}".to_owned(),
            Kind::Table(table) => {
                let parts: Vec<String> = table
                    .iter()
                    .map(|(key, value)| format!("{} = {}", toml_key(key), value.inline(depth)))
                    .collect();
                format!("{{ {} }}", parts.join(", "))
            }
        }
    }
}

fn toml_key(key: &str) -> String {
    toml_edit::Key::new(key).to_string()
}

impl From<&Value> for Node {
    fn from(value: &Value) -> Self {
        Self::new(match value {
            Value::Bool(b) => Kind::Bool(*b),
            Value::Int(i) => Kind::Int(*i),
            Value::Float(x) => Kind::Float(*x),
            Value::Text(text) => Kind::Text(text.clone()),
        })
    }
}

/// Where the lines of a text begin.
struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    fn new(text: &str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { starts }
    }

    fn of(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }
}

fn table(table: &dyn TableLike, lines: &Lines, path: &str, line: usize, problems: &mut Problems) -> Node {
    let mut entries = IndexMap::new();
    for (key, item) in table.iter() {
        let at = table.key(key).and_then(toml_edit::Key::span).map_or(line, |span| lines.of(span.start));
        let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        if let Some(mut child) = node(item, lines, &path, at, problems) {
            child.line = at;
            entries.insert(key.to_owned(), child);
        }
    }
    Node { line, kind: Kind::Table(entries), filled_from: None }
}

fn node(item: &Item, lines: &Lines, path: &str, line: usize, problems: &mut Problems) -> Option<Node> {
    let line = item.span().map_or(line, |span| lines.of(span.start));
    let kind = match item {
        Item::None => return None,
        Item::Table(inner) => return Some(self::table(inner, lines, path, line, problems)),
        Item::ArrayOfTables(tables) => Kind::Array(
            tables
                .iter()
                .map(|inner| {
                    let line = inner.span().map_or(line, |span| lines.of(span.start));
                    self::table(inner, lines, path, line, problems)
                })
                .collect(),
        ),
        Item::Value(value) => match value {
            toml_edit::Value::String(text) => Kind::Text(text.value().clone()),
            toml_edit::Value::Integer(i) => Kind::Int(*i.value()),
            toml_edit::Value::Float(x) => Kind::Float(*x.value()),
            toml_edit::Value::Boolean(b) => Kind::Bool(*b.value()),
            toml_edit::Value::Datetime(date) => {
                problems.add(
                    line,
                    path,
                    "a number, text, true or false, a list or a table",
                    format!("the date {}", date.value()),
                );
                return None;
            }
            toml_edit::Value::Array(items) => Kind::Array(
                items
                    .iter()
                    .filter_map(|value| {
                        node(
                            &Item::Value(value.clone()),
                            lines,
                            path,
                            value_line(value, lines, line),
                            problems,
                        )
                    })
                    .collect(),
            ),
            toml_edit::Value::InlineTable(inner) => {
                return Some(self::table(inner, lines, path, line, problems));
            }
        },
    };
    Some(Node { line, kind, filled_from: None })
}

fn value_line(value: &toml_edit::Value, lines: &Lines, line: usize) -> usize {
    value.span().map_or(line, |span| lines.of(span.start))
}
