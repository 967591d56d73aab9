//! What may stand in a file, as data: made by the macros that declare settings, read by the reference.

use super::{Decode, Field};

/// What may stand at one place of a file.
#[derive(Debug, Clone)]
pub enum Schema {
    /// A value that has to be described in words.
    Value {
        /// The words.
        expected: String,
        /// Other schemas that the words speak of.
        parts: Vec<Schema>,
    },
    /// A list.
    List(Box<Schema>),
    /// A table of known keys.
    Table(TableSchema),
    /// One of several kinds.
    Kinds(KindsSchema),
}

/// A table of known keys.
#[derive(Debug, Clone)]
pub struct TableSchema {
    /// The name of its type, unique among all.
    pub name: &'static str,
    /// What it is.
    pub doc: &'static str,
    /// Its keys.
    pub fields: Vec<Field>,
}

/// Something of which there are several kinds.
#[derive(Debug, Clone)]
pub struct KindsSchema {
    /// The name of its type, unique among all.
    pub name: &'static str,
    /// What it is.
    pub doc: &'static str,
    /// What an error message says was expected, such as "a loss".
    pub expected: &'static str,
    /// Whether the kind is told by the key that is present, not by `kind = "…"`.
    pub by_key: bool,
    /// The kinds.
    pub kinds: Vec<KindSchema>,
    /// Keys that go with every kind.
    pub common: Vec<Field>,
}

/// One of several kinds.
#[derive(Debug, Clone, Copy)]
pub struct KindSchema {
    /// Its name in a file.
    pub kind: &'static str,
    /// What it is: formula, source.
    pub doc: &'static str,
    /// Its settings, where it has any. A function, because kinds may contain each other.
    pub settings: Option<fn() -> Schema>,
}

impl Schema {
    /// A value that is described in words.
    pub fn value(expected: &str) -> Self {
        Self::words(expected, Vec::new())
    }

    /// A value that is described in words which speak of other settings: for a [`Decode`] by hand that
    /// reads them in more than one form.
    pub fn words(expected: &str, parts: Vec<Self>) -> Self {
        Self::Value { expected: expected.to_owned(), parts }
    }

    /// Kinds with keys that go with every one of them. `self` is returned as it is if it is no kinds.
    #[must_use]
    pub fn with_common(mut self, fields: &[Field]) -> Self {
        if let Self::Kinds(kinds) = &mut self {
            kinds.common.extend_from_slice(fields);
        }
        self
    }
}

/// How the default of a setting is written: by its value where that is known, else after its source text.
pub fn default_text<T: Decode>(value: &T, source: &str) -> String {
    value.written().unwrap_or_else(|| {
        let last = source.rsplit("::").next().unwrap_or(source);
        if source.contains("::") && last.chars().all(char::is_alphanumeric) {
            format!("{:?}", snake_case(last))
        } else if let Some(text) = source.strip_suffix(".to_owned()") {
            text.to_owned()
        } else if source.contains("Vec::new()") {
            "[]".to_owned()
        } else if let Some(inner) = last.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'))
            && inner.parse::<f64>().is_ok()
        {
            inner.to_owned()
        } else {
            "its own defaults".to_owned()
        }
    })
}

/// How a kind with settings of its own is written, where `settings` is how they are.
pub fn kind_text(kind: &str, settings: &str) -> String {
    match settings.strip_prefix("{ ") {
        Some(rest) => format!("{{ kind = {kind:?}, {rest}"),
        None => format!("{kind:?}"),
    }
}

fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(letter.to_lowercase());
    }
    text
}
