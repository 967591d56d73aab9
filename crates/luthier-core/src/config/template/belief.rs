//! What stands beside a range: what its user believes of it, and what part it has.

use indexmap::IndexMap;

use super::compile::Compiler;
use crate::config::path::join;
use crate::config::{Decode, Fields, Node, Problem, nearest};
use crate::{Distribution, Prior, Role, Value};

/// What part a range has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Searched(Role),
    /// It is the value of its prior.
    Fixed,
}

/// The names of parts.
const PARTS: [&str; 3] = ["scientific", "nuisance", "fixed"];

/// What stands beside a range.
pub(super) struct Belief {
    pub(super) prior: Option<Prior>,
    pub(super) part: Part,
}

impl Compiler<'_> {
    /// Reads `prior` and `role`.
    pub(super) fn belief(&mut self, table: &IndexMap<String, Node>, path: &str) -> Option<Belief> {
        let prior = match table.get("prior") {
            Some(node) => Some(self.prior(node, &join(path, "prior"))?),
            None => None,
        };
        let part = match table.get("role") {
            Some(node) => self.part(node, &join(path, "role"))?,
            None => Part::Searched(Role::default()),
        };
        if part == Part::Fixed && prior.is_none() {
            self.problems.add(
                table.get("role").map_or(0, |role| role.line),
                &join(path, "role"),
                "a value to keep to: prior = { around = VALUE }, or the value in the place of the range",
                "no prior",
            );
            return None;
        }
        Some(Belief { prior, part })
    }

    fn part(&mut self, node: &Node, path: &str) -> Option<Part> {
        match node.as_str() {
            Some("scientific") => Some(Part::Searched(Role::Scientific)),
            Some("nuisance") => Some(Part::Searched(Role::Nuisance)),
            Some("fixed") => Some(Part::Fixed),
            other => {
                let near = other.and_then(|word| nearest(word, PARTS));
                self.problems.push(Problem {
                    line: (node.line > 0).then_some(node.line),
                    path: path.to_owned(),
                    expected: format!("one of {}", PARTS.join(", ")),
                    found: node.describe(),
                    help: near.map(|near| format!("did you mean {near:?}?")),
                });
                None
            }
        }
    }

    fn prior(&mut self, node: &Node, path: &str) -> Option<Prior> {
        let fields = Fields::open(node, path, self.problems)?;
        let before = self.problems.iter().count();
        fields.close(&["around", "spread", "weight"], self.problems);
        let mut number = |key: &str| match node.get(key) {
            Some(number) => <f64 as Decode>::decode(number, &join(path, key), self.problems),
            None => None,
        };
        let (spread, weight) = (number("spread"), number("weight"));
        let around = node.get("around").and_then(Node::as_value);
        if around.is_none() {
            self.problems.add(
                node.line,
                path,
                "the value that is believed to be good: { around = VALUE }",
                node.describe(),
            );
        }
        let around = around.filter(|_| self.problems.iter().count() == before)?;
        Some(Prior { around, spread, weight })
    }

    /// The value that a fixed range keeps to.
    pub(super) fn fixed(
        &mut self,
        line: usize,
        path: &str,
        prior: Option<Prior>,
        distribution: &Distribution,
    ) -> Option<Value> {
        match prior?.of(distribution) {
            Ok(prior) => Some(prior.around),
            Err(found) => {
                self.problems.add(line, &join(path, "prior"), "a prior that fits the range", found);
                None
            }
        }
    }
}
