//! From the text of a constraint to its parts.

use super::{ConstraintError, Operator, Term};
use crate::Value;

/// A word of a text, with the number of its first character.
#[derive(Debug, Clone, PartialEq)]
enum Word {
    Number(f64),
    Text(String),
    Name(String),
    Mark(&'static str),
}

/// The marks, longer ones first.
const MARKS: [&str; 12] = ["<=", ">=", "==", "!=", "<", ">", "+", "-", "*", "/", "(", ")"];

fn wrong<T>(reason: impl Into<String>) -> Result<T, ConstraintError> {
    Err(ConstraintError { reason: reason.into() })
}

/// Deeper ones would be no constraint that a person writes, and would exhaust the stack.
const DEEPEST: usize = 100;

/// Reads a whole text.
pub(super) fn parse(text: &str) -> Result<Term, ConstraintError> {
    let mut words = Words { list: split(text)?, next: 0, depth: 0 };
    let root = words.any()?;
    if words.peek().is_some() {
        wrong(format!("expected the end, found {}", words.found()))
    } else {
        Ok(root)
    }
}

fn split(text: &str) -> Result<Vec<(Word, String, usize)>, ConstraintError> {
    let mut words = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let at = text[..text.len() - rest.len()].chars().count() + 1;
        let Some(first) = rest.chars().next() else { return Ok(words) };
        let (word, length) = if let Some(mark) = MARKS.iter().find(|mark| rest.starts_with(**mark)) {
            (Word::Mark(mark), mark.len())
        } else if first.is_ascii_digit() || first == '.' {
            let length = number_length(rest);
            let Ok(number) = rest[..length].parse() else {
                return wrong(format!("`{}` at character {at} is no number", &rest[..length]));
            };
            (Word::Number(number), length)
        } else if matches!(first, '\'' | '"' | '`') {
            let Some(length) = rest[1..].find(first) else {
                return wrong(format!("the text at character {at} has no end"));
            };
            let inside = rest[1..=length].to_owned();
            (if first == '`' { Word::Name(inside) } else { Word::Text(inside) }, length + 2)
        } else if first.is_alphabetic() || first == '_' {
            let part = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
            let length = rest.find(|c| !part(c)).unwrap_or(rest.len());
            (Word::Name(rest[..length].to_owned()), length)
        } else {
            let hint = if first == '=' { "; `==` compares" } else { "" };
            return wrong(format!(
                "expected an operator or a value, found `{first}` at character {at}{hint}"
            ));
        };
        words.push((word, rest[..length].to_owned(), at));
        rest = &rest[length..];
    }
}

/// The bytes of the number at the beginning of a text: digits, a point, an exponent with its sign.
fn number_length(text: &str) -> usize {
    let mut last = ' ';
    let mut part = |c: char| {
        let is = c.is_ascii_alphanumeric()
            || c == '.'
            || c == '_'
            || matches!(c, '+' | '-') && matches!(last, 'e' | 'E');
        last = c;
        is
    };
    text.find(|c| !part(c)).unwrap_or(text.len())
}

struct Words {
    list: Vec<(Word, String, usize)>,
    next: usize,
    depth: usize,
}

impl Words {
    fn peek(&self) -> Option<&Word> {
        self.list.get(self.next).map(|(word, ..)| word)
    }

    /// What stands next, for messages.
    fn found(&self) -> String {
        self.list
            .get(self.next)
            .map_or_else(|| "the end".to_owned(), |(_, text, at)| format!("`{text}` at character {at}"))
    }

    /// Takes one of some words, if it is next.
    fn take<T: Copy>(&mut self, among: &[(&str, T)]) -> Option<T> {
        let text = match self.peek()? {
            Word::Mark(mark) => *mark,
            Word::Name(name) => name.as_str(),
            _ => return None,
        };
        let found = among.iter().find(|(known, _)| *known == text).map(|(_, value)| *value);
        self.next += usize::from(found.is_some());
        found
    }

    /// Parts of one kind with operators between them, from left to right.
    fn chain(
        &mut self,
        operators: &[(&str, Operator)],
        part: fn(&mut Self) -> Result<Term, ConstraintError>,
    ) -> Result<Term, ConstraintError> {
        let mut left = part(self)?;
        while let Some(operator) = self.take(operators) {
            left = Term::Pair(operator, Box::new(left), Box::new(part(self)?));
        }
        Ok(left)
    }

    fn any(&mut self) -> Result<Term, ConstraintError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return wrong("it is nested too deeply");
        }
        let term =
            self.chain(&[("or", Operator::Or)], |words| words.chain(&[("and", Operator::And)], Self::not));
        self.depth -= 1;
        term
    }

    fn not(&mut self) -> Result<Term, ConstraintError> {
        let mut negative = false;
        let mut plain = true;
        while self.take(&[("not", ())]).is_some() {
            (negative, plain) = (!negative, false);
        }
        let relation = self.relation()?;
        Ok(match (plain, negative) {
            (true, _) => relation,
            (false, true) => Term::Not(Box::new(relation)),
            (false, false) => Term::Not(Box::new(Term::Not(Box::new(relation)))),
        })
    }

    fn relation(&mut self) -> Result<Term, ConstraintError> {
        let left = self.sum()?;
        let relations = [
            ("<=", Operator::AtMost),
            ("<", Operator::Below),
            (">=", Operator::AtLeast),
            (">", Operator::Above),
            ("==", Operator::Equal),
            ("!=", Operator::Different),
        ];
        let Some(operator) = self.take(&relations) else { return Ok(left) };
        Ok(Term::Pair(operator, Box::new(left), Box::new(self.sum()?)))
    }

    fn sum(&mut self) -> Result<Term, ConstraintError> {
        self.chain(&[("+", Operator::Plus), ("-", Operator::Minus)], |words| {
            words.chain(&[("*", Operator::Times), ("/", Operator::Over)], Self::factor)
        })
    }

    fn factor(&mut self) -> Result<Term, ConstraintError> {
        let mut negative = false;
        while self.take(&[("-", ())]).is_some() {
            negative = !negative;
        }
        let term = if self.take(&[("(", ())]).is_some() {
            let inside = self.any()?;
            if self.take(&[(")", ())]).is_none() {
                return wrong(format!("expected `)`, found {}", self.found()));
            }
            inside
        } else {
            let term = match self.peek() {
                Some(Word::Number(number)) => Term::Constant(Value::Float(*number)),
                Some(Word::Text(text)) => Term::Constant(Value::Text(text.clone())),
                Some(Word::Name(name)) if name == "true" || name == "false" => {
                    Term::Constant(Value::Bool(name == "true"))
                }
                Some(Word::Name(name)) if !["and", "or", "not"].contains(&name.as_str()) => {
                    Term::Name(name.clone())
                }
                _ => return wrong(format!("expected a number, a text or a name, found {}", self.found())),
            };
            self.next += 1;
            term
        };
        Ok(if negative { Term::Negative(Box::new(term)) } else { term })
    }
}
