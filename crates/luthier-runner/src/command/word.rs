//! The words of a command line: text in which `{NAME}` stands for a value.

/// Why a word cannot be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WordError {
    /// A brace without its other one, or nothing between the two.
    Brace,
    /// There is no value of this name.
    Unknown(String),
}

/// The word with values in the places of their names; `{{` and `}}` are braces.
pub(super) fn fill(word: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, WordError> {
    let mut text = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = rest.find(['{', '}']) {
        text += &rest[..at];
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(behind) = rest.strip_prefix(brace) {
            text += brace;
            rest = behind;
            continue;
        }
        let (name, behind) = rest.split_once('}').filter(|_| brace == "{").ok_or(WordError::Brace)?;
        if name.is_empty() || name.contains('{') {
            return Err(WordError::Brace);
        }
        text += &value(name).ok_or_else(|| WordError::Unknown(name.to_owned()))?;
        rest = behind;
    }
    Ok(text + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_in_and_doubled_braces_are_braces() {
        let value = |name: &str| (name == "lr").then(|| "0.1".to_owned());
        for (word, filled) in [
            ("--lr={lr}", "--lr=0.1"),
            ("{lr}{lr}", "0.10.1"),
            ("{{lr}}", "{lr}"),
            ("{{{lr}}}", "{0.1}"),
            ("awk {{ print }}", "awk { print }"),
            ("", ""),
        ] {
            assert_eq!(fill(word, value), Ok(filled.to_owned()), "{word}");
        }
        for word in ["{lr", "lr}", "{}", "{a{lr}}"] {
            assert_eq!(fill(word, value), Err(WordError::Brace), "{word}");
        }
        assert_eq!(fill("{rate}", value), Err(WordError::Unknown("rate".to_owned())));
    }
}
