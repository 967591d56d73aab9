//! Files with ranges: the tree, the space of its ranges, and the tree with the ranges filled in.
//!
//! A parameter is called by its path. An element of a list goes by its `name`, else by its kind and
//! its ordinal among that kind (`model.layers.conv1.conv`); an option of a choice by its `name`, else
//! its kind (`train.optimizer.adam.learning_rate`). The kind of a table is its key `kind`, else its
//! first key.

mod belief;
mod compile;

use indexmap::IndexMap;

use super::path::join;
use super::{Kind, Node, Problem, Problems, nearest};
use crate::{Params, Space, Value};

use compile::Compiler;

/// Where ranges may stand.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Paths under which ranges may stand.
    pub allowed: &'static [&'static str],
    /// Paths among them where a range is refused, each with the reason.
    pub refused: &'static [(&'static str, &'static str)],
}

/// A file whose leaves may be ranges.
#[derive(Debug, Clone)]
pub struct Template {
    root: Item,
    space: Space,
    lines: IndexMap<String, usize>,
    /// The values of ranges that keep to one.
    fixed: Params,
}

/// A [`Node`] in which the ranges have become parameters.
#[derive(Debug, Clone)]
enum Item {
    Value(Node),
    Array(usize, Vec<Item>),
    Table(usize, IndexMap<String, Item>),
    /// The value of a parameter.
    Param(usize, String),
    /// The option that a parameter chooses.
    Choice(String, Vec<(Value, Item)>),
    /// So many of the copies as the count says, spliced into the list around it.
    Repeat(Count, Vec<Item>),
}

#[derive(Debug, Clone)]
enum Count {
    Fixed(usize),
    Param(String),
}

const MOST_COPIES: i64 = 100;

impl Template {
    /// Finds the ranges of a file.
    ///
    /// # Errors
    ///
    /// All ranges that cannot be used, with their lines.
    pub fn new(root: &Node, file: &str, policy: &Policy) -> Result<Self, Problems> {
        let mut problems = Problems::new(file);
        let template = Self::compile(root, policy, &mut problems);
        problems.or(Some(template))
    }

    /// As [`Template::new`], but a range that cannot be used is reported to `problems` and left as it is
    /// written, so that the rest of the file can be checked too.
    pub fn compile(root: &Node, policy: &Policy, problems: &mut Problems) -> Self {
        let mut compiler = Compiler {
            space: Space::default(),
            lines: IndexMap::new(),
            fixed: Params::new(),
            references: Vec::new(),
            problems,
            policy,
        };
        let root = compiler.item(root, "", &[]);
        for (line, path, target) in std::mem::take(&mut compiler.references) {
            if compiler.space.get(&target).is_none() && !compiler.fixed.contains_key(&target) {
                let near = nearest(&target, compiler.space.iter().map(|p| p.name.as_str()));
                compiler.problems.push(Problem {
                    line: Some(line),
                    path,
                    expected: "the path of a range in this file".to_owned(),
                    found: format!("{target:?}"),
                    help: near.map(|near| format!("did you mean {near:?}?")),
                });
            }
        }
        let Compiler { space, lines, fixed, .. } = compiler;
        Self { root, space, lines, fixed }
    }

    /// The space of the file's ranges; empty for a file that is simply a training run.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// The value of a range that keeps to it (`role = "fixed"`), by the name that the parameter would have.
    pub fn fixed(&self, name: &str) -> Option<&Value> {
        self.fixed.get(name)
    }

    /// The line of a parameter's range.
    pub fn line(&self, param: &str) -> Option<usize> {
        self.lines.get(param).copied()
    }

    /// Where a parameter stands: its path, with `*` for elements of lists, whatever the parameter is called.
    pub fn place(&self, param: &str) -> Option<String> {
        self.root.place(param, "")
    }

    /// The tree with the values of `params` in the places of the ranges.
    ///
    /// # Errors
    ///
    /// A message if a value is missing that the tree needs: `params` is not of this space, or a
    /// `{ param = … }` refers to a range that does not exist beside the others' values.
    pub fn fill(&self, params: &Params) -> Result<Node, String> {
        let known: Params =
            self.fixed.iter().chain(params).map(|(name, value)| (name.clone(), value.clone())).collect();
        let mut filled = self.root.fill(&known)?;
        debug_assert_eq!(filled.len(), 1, "only a repeat is more than one node, and a file is none");
        filled.pop().ok_or_else(|| "the file is empty".to_owned())
    }
}

impl Item {
    fn place(&self, param: &str, path: &str) -> Option<String> {
        let within = |mut items: &mut dyn Iterator<Item = &Self>, path: &str| {
            Iterator::find_map(&mut items, |item| item.place(param, path))
        };
        match self {
            Self::Value(_) => None,
            Self::Array(_, items) => within(&mut items.iter(), &join(path, "*")),
            Self::Table(_, items) => items.iter().find_map(|(key, item)| item.place(param, &join(path, key))),
            Self::Param(_, name) => (name == param).then(|| path.to_owned()),
            Self::Choice(name, _) if name == param => Some(path.to_owned()),
            Self::Choice(_, options) => within(&mut options.iter().map(|(_, item)| item), path),
            Self::Repeat(Count::Param(name), _) if name == param => Some(join(path, "repeat")),
            Self::Repeat(_, copies) => within(&mut copies.iter(), path),
        }
    }

    fn fill(&self, params: &Params) -> Result<Vec<Node>, String> {
        let value = |name: &str| {
            params
                .get(name)
                .ok_or_else(|| format!("there is no value for `{name}` beside the other parameters"))
        };
        Ok(vec![match self {
            Self::Value(node) => node.clone(),
            Self::Array(line, items) => {
                let mut nodes = Vec::new();
                for item in items {
                    nodes.extend(item.fill(params)?);
                }
                Node { line: *line, kind: Kind::Array(nodes), filled_from: None }
            }
            Self::Table(line, items) => {
                let mut table = IndexMap::new();
                for (key, item) in items {
                    if let Some(node) = item.fill(params)?.pop() {
                        table.insert(key.clone(), node);
                    }
                }
                Node { line: *line, kind: Kind::Table(table), filled_from: None }
            }
            Self::Param(line, name) => {
                Node { line: *line, filled_from: Some(name.clone()), ..Node::from(value(name)?) }
            }
            Self::Choice(name, options) => {
                let chosen = value(name)?;
                let option = options.iter().find(|(label, _)| label == chosen);
                let (_, item) = option.ok_or_else(|| format!("`{name}` has no option {chosen}"))?;
                return item.fill(params);
            }
            Self::Repeat(count, copies) => {
                let count = match count {
                    Count::Fixed(count) => *count,
                    Count::Param(name) => value(name)?.as_i64().unwrap_or(0).max(0) as usize,
                };
                let mut nodes = Vec::new();
                for copy in copies.iter().take(count) {
                    nodes.extend(copy.fill(params)?);
                }
                return Ok(nodes);
            }
        }])
    }
}

#[cfg(test)]
mod tests;
