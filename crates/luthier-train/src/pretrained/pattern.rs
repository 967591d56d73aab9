//! Patterns of parameter names: `features.*`.

use luthier_core::config::{Decode, Node, Problems};

use crate::model::Parameter;

/// A pattern of parameter names as a PyTorch state dict has them. `*` stands for any text, dots included.
/// A pattern without anything behind a module's name stands for all that is in it: `features` is
/// `features.*`, and `layer1.*.conv1` has `layer1.0.conv1.weight`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern of this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for `name`.
    ///
    /// ```
    /// use luthier_train::pretrained::Pattern;
    /// let pattern = Pattern::new("features.2*");
    /// assert!(pattern.matches("features.2.weight") && pattern.matches("features.28.bias"));
    /// assert!(!pattern.matches("features.3.weight") && !pattern.matches("old.features.2.weight"));
    /// ```
    pub fn matches(&self, name: &str) -> bool {
        let ends = name.match_indices('.').map(|(end, _)| end).chain([name.len()]);
        ends.into_iter().any(|end| glob(self.0.as_bytes(), &name.as_bytes()[..end]))
    }

    /// Why it stands for none of `parameters`, with the names that are nearest; `None` if it stands for one.
    pub(super) fn complaint(&self, parameters: &[Parameter]) -> Option<String> {
        if parameters.iter().any(|parameter| self.matches(&parameter.name)) {
            return None;
        }
        let wanted = self.0.trim_end_matches('*').trim_end_matches('.');
        let mut near: Vec<(f64, &str)> = parameters
            .iter()
            .flat_map(|parameter| {
                // The name itself and the modules that it is in.
                let name = parameter.name.as_str();
                name.match_indices('.').map(|(end, _)| &name[..end]).chain([name])
            })
            .map(|name| (strsim::normalized_damerau_levenshtein(wanted, name), name))
            .collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        near.dedup_by(|a, b| a.1 == b.1);
        let near: Vec<&str> = near.into_iter().take(3).map(|(_, name)| name).collect();
        Some(format!("`{}` stands for no parameter; the nearest names are {}", self.0, near.join(", ")))
    }
}

/// Whether `pattern`, in which `*` is any text, is all of `text`.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Behind the last star, and what it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            star = Some((p, t));
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((behind, taken)) = star {
            p = behind;
            t = taken + 1;
            star = Some((behind, t));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

impl Decode for Pattern {
    const EXPECTED: &'static str = "a pattern of parameter names such as \"features.*\"";

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        match node.as_str() {
            Some(text) if !text.is_empty() => Some(Self::new(text)),
            _ => {
                problems.add(node.line, path, Self::EXPECTED, node.describe());
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text_and_a_module_is_all_that_is_in_it() {
        let matches = |pattern: &str, name: &str| Pattern::new(pattern).matches(name);
        for (pattern, name) in [
            ("*", "fc.weight"),
            ("features", "features.0.weight"),
            ("features.*", "features.0.weight"),
            ("layer1.*.conv1", "layer1.0.conv1.weight"),
            ("*.bias", "layer1.0.bn1.bias"),
            ("l*1*w*t", "layer1.0.conv1.weight"),
            ("0", "0.weight"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("feature", "features.0.weight"),
            ("features.2", "features.28.weight"),
            ("*.bias", "fc.weight"),
            ("weight", "fc.weight"),
            ("", "fc.weight"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
