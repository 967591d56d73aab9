//! Lines of JSON as programs write them.

use serde_json::{Map, Value};

/// Reads a line that is a JSON object. The bare words NaN, Infinity and -Infinity, which JSON does not have and Python
/// writes, become the texts `"nan"`, `"inf"` and `"-inf"`, as [`luthier_core::number`] reads them.
///
/// # Errors
///
/// If it is no such line.
pub fn json_line(line: &str) -> serde_json::Result<Map<String, Value>> {
    serde_json::from_str(&quoted(line))
}

/// The line with the bare words NaN and Infinity, which JSON does not have and Python writes, as text.
fn quoted(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    let mut inside = false;
    while let Some(next) = rest.chars().next() {
        let word =
            ["-Infinity", "Infinity", "NaN"].into_iter().find(|word| !inside && rest.starts_with(word));
        if let Some(word) = word {
            text += match word {
                "NaN" => "\"nan\"",
                "Infinity" => "\"inf\"",
                _ => "\"-inf\"",
            };
            rest = &rest[word.len()..];
            continue;
        }
        text.push(next);
        rest = &rest[next.len_utf8()..];
        if next == '"' {
            inside = !inside;
        } else if next == '\\'
            && inside
            && let Some(escaped) = rest.chars().next()
        {
            text.push(escaped);
            rest = &rest[escaped.len_utf8()..];
        }
    }
    text
}
