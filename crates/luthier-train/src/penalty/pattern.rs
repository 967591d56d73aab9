//! Names of layers and parameters with wildcards.

use std::fmt;

use luthier_core::config::{Decode, Kind, Node, Problems};

/// One or several patterns for the names of parameters. `*` stands for any characters, dots included, `?`
/// for one. A pattern that answers to the beginning of a name up to a dot answers to the name: "0" to
/// "0.weight".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patterns(pub Vec<String>);

impl Patterns {
    /// Whether one of them answers to `name`.
    pub fn matches(&self, name: &str) -> bool {
        let ends = name.match_indices('.').map(|(dot, _)| dot).chain([name.len()]);
        let parts: Vec<&str> = ends.map(|end| &name[..end]).collect();
        self.0.iter().any(|pattern| parts.iter().any(|part| answers(pattern.as_bytes(), part.as_bytes())))
    }
}

/// Whether `pattern` answers to the whole of `name`, in time proportional to their lengths multiplied.
fn answers(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // The last `*`, and how much of the name it stands for so far.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((place, taken)) = star else { return false };
                star = Some((place, taken + 1));
                (p, n) = (place + 1, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

impl fmt::Display for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted: Vec<String> = self.0.iter().map(|pattern| format!("{pattern:?}")).collect();
        f.write_str(&quoted.join(" or "))
    }
}

impl Decode for Patterns {
    const EXPECTED: &'static str = "a name with `*` and `?`, such as \"features.*\", or a list of them";

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        let text = |node: &Node| node.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let read = match &node.kind {
            Kind::Array(items) if !items.is_empty() => items.iter().map(text).collect(),
            _ => text(node).map(|one| vec![one]),
        };
        if read.is_none() {
            problems.add(node.line, path, Self::EXPECTED, node.describe());
        }
        read.map(Self)
    }
}
