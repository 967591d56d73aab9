//! From a tree without ranges to typed settings.

use std::time::Duration;

use indexmap::IndexMap;

use super::{Kind, Node, Problem, Problems, Schema, nearest};

/// A setting that can be read from a file.
pub trait Decode: Sized {
    /// What an error message says was expected.
    const EXPECTED: &'static str;

    /// Reads it from `node`, which stands at `path`. Where it cannot be read, the reasons are added
    /// to `problems` and the result is `None`.
    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self>;

    /// What may stand there, for the reference.
    fn schema() -> Schema {
        Schema::value(Self::EXPECTED)
    }

    /// How the value is written in a file: empty where nothing is written, and `None` if it is not known.
    fn written(&self) -> Option<String> {
        None
    }
}

macro_rules! decode_scalar {
    ($type:ty, $expected:literal, $node:ident => $read:expr, $value:ident => $written:expr) => {
        impl Decode for $type {
            const EXPECTED: &'static str = $expected;

            fn decode($node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
                let value: Option<$type> = $read;
                if value.is_none() {
                    problems.add($node.line, path, Self::EXPECTED, $node.describe());
                }
                value
            }

            fn written(&self) -> Option<String> {
                let $value = self;
                Some($written)
            }
        }
    };
}

decode_scalar!(bool, "true or false", node => match node.kind { Kind::Bool(b) => Some(b), _ => None }, value => value.to_string());
decode_scalar!(f64, "a number", node => match node.kind {
    Kind::Float(x) if x.is_finite() => Some(x),
    Kind::Int(i) => Some(i as f64),
    _ => None,
}, value => format!("{value:?}"));
decode_scalar!(u64, "a whole number, 0 or more", node => match node.kind { Kind::Int(i) => i.try_into().ok(), _ => None }, value => value.to_string());
decode_scalar!(usize, "a whole number, 0 or more", node => match node.kind { Kind::Int(i) => i.try_into().ok(), _ => None }, value => value.to_string());
decode_scalar!(String, "text", node => node.as_str().map(str::to_owned), value => format!("{value:?}"));
decode_scalar!(std::path::PathBuf, "a path", node => node.as_str().filter(|text| !text.is_empty()).map(Into::into), value => format!("{value:?}"));
decode_scalar!(Duration, "a time such as \"90s\", \"10m\", \"2h\" or \"1d\"", node => match &node.kind {
    Kind::Text(text) => parse_duration(text),
    _ => None,
}, value => format!("\"{}s\"", value.as_secs_f64()));

/// Reads `90s`, `10m`, `2h`, `1.5d`.
fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let split = text.find(|c: char| c.is_alphabetic())?;
    let number: f64 = text[..split].trim().parse().ok()?;
    let unit = match &text[split..] {
        "ms" => 0.001,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number * unit).ok().filter(|duration| !duration.is_zero())
}

impl<T: Decode> Decode for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        T::decode(node, path, problems).map(Some)
    }

    fn schema() -> Schema {
        T::schema()
    }

    fn written(&self) -> Option<String> {
        self.as_ref().map_or_else(|| Some(String::new()), T::written)
    }
}

impl<T: Decode> Decode for Vec<T> {
    const EXPECTED: &'static str = "a list";

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        let Kind::Array(items) = &node.kind else {
            problems.add(node.line, path, Self::EXPECTED, node.describe());
            return None;
        };
        let labels = super::path::element_labels(items);
        let read: Vec<Option<T>> = items
            .iter()
            .zip(labels)
            .map(|(item, label)| T::decode(item, &format!("{path}.{label}"), problems))
            .collect();
        read.into_iter().collect()
    }

    fn schema() -> Schema {
        Schema::List(Box::new(T::schema()))
    }

    fn written(&self) -> Option<String> {
        let items: Option<Vec<String>> = self.iter().map(T::written).collect();
        Some(format!("[{}]", items?.join(", ")))
    }
}

/// A rule that a setting's value has to keep.
#[derive(Debug, Clone, Copy)]
pub struct Bound<T> {
    /// What an error message says was expected.
    pub expected: &'static str,
    /// Whether a value keeps the rule.
    pub holds: fn(&T) -> bool,
}

/// Something that holds values to which a [`Bound`] applies.
pub trait Each<T> {
    /// Whether `holds` is true of each of them.
    fn all(&self, holds: fn(&T) -> bool) -> bool;
}

impl<T> Each<T> for T {
    fn all(&self, holds: fn(&T) -> bool) -> bool {
        holds(self)
    }
}

impl<T> Each<T> for Option<T> {
    fn all(&self, holds: fn(&T) -> bool) -> bool {
        self.as_ref().is_none_or(holds)
    }
}

/// The usual bounds.
pub mod bounds {
    use super::Bound;

    /// Above 0.
    pub const POSITIVE: Bound<f64> = Bound { expected: "a number above 0", holds: |x| *x > 0.0 };
    /// 0 or more.
    pub const NOT_NEGATIVE: Bound<f64> = Bound { expected: "a number of 0 or more", holds: |x| *x >= 0.0 };
    /// From 0 to just below 1.
    pub const BELOW_ONE: Bound<f64> =
        Bound { expected: "a number from 0 to just below 1", holds: |x| (0.0..1.0).contains(x) };
    /// From 0 to 1.
    pub const SHARE: Bound<f64> =
        Bound { expected: "a number from 0 to 1", holds: |x| (0.0..=1.0).contains(x) };
    /// Above 0, up to 0.5.
    pub const AT_MOST_HALF: Bound<f64> =
        Bound { expected: "a number above 0, up to 0.5", holds: |x| *x > 0.0 && *x <= 0.5 };
    /// A whole number of 2 or more.
    pub const AT_LEAST_TWO: Bound<u64> =
        Bound { expected: "a whole number of 2 or more", holds: |n| *n >= 2 };
    /// A whole number of 1 or more.
    pub const AT_LEAST_ONE: Bound<usize> =
        Bound { expected: "a whole number of 1 or more", holds: |n| *n >= 1 };
    /// A whole number of 1 or more.
    pub const COUNT: Bound<u64> = Bound { expected: "a whole number of 1 or more", holds: |n| *n >= 1 };
}

/// A key of a settings struct, for reference pages and for the nearest valid key.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The key in the file.
    pub key: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// What may stand there.
    pub expected: &'static str,
    /// How what holds where it is left out is written, empty if nothing does; `None` if it may not be left out.
    pub default: Option<fn() -> String>,
    /// What may stand there, in full.
    pub schema: fn() -> Schema,
}

/// Settings of which every key has a default, with all of them left out.
///
/// # Panics
///
/// If a key has none.
pub fn defaults<T: Decode>() -> T {
    let mut problems = Problems::new("");
    let settings = T::decode(&Node::new(Kind::Table(IndexMap::new())), "", &mut problems);
    settings.unwrap_or_else(|| panic!("a key has no default: {problems}"))
}

/// Settings that know their keys.
pub trait Documented {
    /// The keys, in the order of their declaration.
    const FIELDS: &'static [Field];
}

/// A table that is being read key by key.
#[derive(Debug)]
pub struct Fields<'a> {
    table: &'a IndexMap<String, Node>,
    line: usize,
    path: &'a str,
}

impl<'a> Fields<'a> {
    /// Starts to read the table at `node`.
    pub fn open(node: &'a Node, path: &'a str, problems: &mut Problems) -> Option<Self> {
        if let Some(table) = node.as_table() {
            Some(Self { table, line: node.line, path })
        } else {
            problems.add(node.line, path, "a table", node.describe());
            None
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The value of `key`, which has to be there.
    pub fn required<T: Decode>(&self, key: &str, problems: &mut Problems) -> Option<T> {
        if let Some(node) = self.table.get(key) {
            T::decode(node, &self.path_of(key), problems)
        } else {
            problems.add(self.line, &self.path_of(key), T::EXPECTED, "nothing: the key is missing");
            None
        }
    }

    /// The value of `key`, or `default` where it is left out.
    pub fn or<T: Decode>(
        &self,
        key: &str,
        default: impl FnOnce() -> T,
        problems: &mut Problems,
    ) -> Option<T> {
        match self.table.get(key) {
            Some(node) => T::decode(node, &self.path_of(key), problems),
            None => Some(default()),
        }
    }

    /// `value` if it keeps `bound`.
    pub fn within<T: Each<B>, B>(
        &self,
        key: &str,
        value: T,
        bound: &Bound<B>,
        problems: &mut Problems,
    ) -> Option<T> {
        if value.all(bound.holds) {
            return Some(value);
        }
        let node = self.table.get(key);
        let found = node.map_or_else(|| "the default".to_owned(), Node::describe);
        problems.add(node.map_or(self.line, |node| node.line), &self.path_of(key), bound.expected, found);
        None
    }

    /// Reports the keys that are not among `known`.
    pub fn close(&self, known: &[&str], problems: &mut Problems) {
        for (key, node) in self.table {
            if !known.contains(&key.as_str()) {
                problems.push(Problem {
                    line: (node.line > 0).then_some(node.line),
                    path: self.path_of(key),
                    expected: if known.is_empty() {
                        "no key here".to_owned()
                    } else {
                        format!("one of the keys {}", known.join(", "))
                    },
                    found: format!("the unknown key `{key}`"),
                    help: nearest(key, known.iter().copied()).map(|near| format!("did you mean `{near}`?")),
                });
            }
        }
    }
}

/// The kind of a setting that is written as its name or as a table with `kind`, and the table with
/// the rest of its keys.
pub fn decode_kind(
    node: &Node,
    path: &str,
    kinds: &[&str],
    problems: &mut Problems,
) -> Option<(usize, Node)> {
    let mut rest = node.clone();
    let kind = match &mut rest.kind {
        Kind::Text(_) => Some(std::mem::replace(&mut rest.kind, Kind::Table(IndexMap::new())))
            .map(|kind| Node { kind, ..node.clone() }),
        Kind::Table(table) => {
            table.shift_remove("name");
            table.shift_remove("kind")
        }
        _ => None,
    };
    let Some(kind) = kind else {
        problems.add(
            node.line,
            path,
            format!("one of {}, or a table with `kind`", kinds.join(", ")),
            node.describe(),
        );
        return None;
    };
    let index = kind.as_str().and_then(|name| kinds.iter().position(|known| *known == name));
    if index.is_none() {
        problems.push(Problem {
            line: (kind.line > 0).then_some(kind.line),
            path: path.to_owned(),
            expected: format!("one of {}", kinds.join(", ")),
            found: kind.describe(),
            help: kind
                .as_str()
                .and_then(|name| nearest(name, kinds.iter().copied()))
                .map(|near| format!("did you mean \"{near}\"?")),
        });
    }
    Some((index?, rest))
}

/// Which of `keys` names the kind of the table: the first of them that is in it.
pub fn keyed_by(
    node: &Node,
    path: &str,
    what: &str,
    keys: &[&str],
    problems: &mut Problems,
) -> Option<(usize, Node)> {
    let Some(table) = node.as_table() else {
        problems.add(
            node.line,
            path,
            format!("{what}: a table with one of {}", keys.join(", ")),
            node.describe(),
        );
        return None;
    };
    // A slip in the key that comes first (`{ dens = 64, activation = "relu" }`) must not make another
    // kind of the table. Settings have names of their own, some a little like a kind's (`layers`), so a
    // slip is nearer than what is worth a hint elsewhere.
    let slip = table.keys().find(|key| *key != "name").filter(|key| !keys.contains(&key.as_str()));
    let near = slip.and_then(|key| {
        nearest(key, keys.iter().copied())
            .filter(|near| near.starts_with(key) || strsim::normalized_damerau_levenshtein(key, near) > 0.5)
    });
    let index = keys.iter().position(|key| table.contains_key(*key)).filter(|_| near.is_none());
    if index.is_none() {
        problems.push(Problem {
            line: (node.line > 0).then_some(node.line),
            path: path.to_owned(),
            expected: format!("{what}: a table with one of the keys {}", keys.join(", ")),
            found: node.describe(),
            help: near.map(|near| format!("did you mean `{near}`?")),
        });
    }
    let mut rest = node.clone();
    if let Kind::Table(table) = &mut rest.kind {
        table.shift_remove("name");
    }
    Some((index?, rest))
}
