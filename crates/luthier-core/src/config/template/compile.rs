//! From a tree to its parameters: finding the ranges of a file.

use indexmap::IndexMap;

use super::belief::{Belief, Part};
use super::{Count, Item, MOST_COPIES, Policy};
use crate::config::path::{element_labels, join, option_labels};
use crate::config::{Decode, Fields, Kind, Node, Problems};
use crate::{Condition, Distribution, Parameter, Params, Space};

/// A file on the way to a template.
pub(super) struct Compiler<'a> {
    pub(super) space: Space,
    pub(super) lines: IndexMap<String, usize>,
    pub(super) fixed: Params,
    /// Line, path and target of each `{ param = … }`.
    pub(super) references: Vec<(usize, String, String)>,
    pub(super) problems: &'a mut Problems,
    pub(super) policy: &'a Policy,
}

impl Compiler<'_> {
    /// The item of a node.
    pub(super) fn item(&mut self, node: &Node, path: &str, conditions: &[Condition]) -> Item {
        self.try_item(node, path, conditions).unwrap_or_else(|| Item::Value(node.clone()))
    }

    fn try_item(&mut self, node: &Node, path: &str, conditions: &[Condition]) -> Option<Item> {
        match &node.kind {
            Kind::Array(nodes) => {
                let labels = element_labels(nodes);
                self.distinct(nodes, &labels, path);
                let items = nodes
                    .iter()
                    .zip(&labels)
                    .map(|(node, label)| {
                        let path = join(path, label);
                        if node.get("repeat").is_some() {
                            self.repeat(node, &path, conditions).unwrap_or_else(|| Item::Value(node.clone()))
                        } else {
                            self.item(node, &path, conditions)
                        }
                    })
                    .collect();
                Some(Item::Array(node.line, items))
            }
            Kind::Table(table) => {
                let ranges: Vec<&str> =
                    ["float", "int", "choice"].into_iter().filter(|key| table.contains_key(*key)).collect();
                if let [key] = ranges[..] {
                    return self.range(node, table, key, path, conditions);
                }
                if table.len() == 1
                    && let Some(target) = table.get("param").and_then(Node::as_str)
                {
                    self.references.push((node.line, path.to_owned(), target.to_owned()));
                    return Some(Item::Param(node.line, target.to_owned()));
                }
                let items = table
                    .iter()
                    .map(|(key, child)| (key.clone(), self.item(child, &join(path, key), conditions)))
                    .collect();
                Some(Item::Table(node.line, items))
            }
            _ => Some(Item::Value(node.clone())),
        }
    }

    /// Names that were given twice in one list.
    fn distinct(&mut self, nodes: &[Node], labels: &[String], path: &str) {
        for (i, label) in labels.iter().enumerate() {
            if labels[..i].contains(label) {
                self.problems.add(
                    nodes[i].line,
                    &join(path, label),
                    "a name that no other element of the list has",
                    format!("{label:?} for the second time"),
                );
            }
        }
    }

    fn range(
        &mut self,
        node: &Node,
        table: &IndexMap<String, Node>,
        key: &str,
        path: &str,
        conditions: &[Condition],
    ) -> Option<Item> {
        if !self.policy.allowed.iter().any(|allowed| under(path, allowed)) {
            let places: Vec<String> = self.policy.allowed.iter().map(|place| format!("[{place}]")).collect();
            self.problems.add(
                node.line,
                path,
                format!("one value: ranges stand in {}", places.join(", ")),
                format!("a range ({key})"),
            );
            return None;
        }
        if let Some((_, reason)) = self.policy.refused.iter().find(|(refused, _)| under(path, refused)) {
            self.problems.add(node.line, path, format!("one value: {reason}"), format!("a range ({key})"));
            return None;
        }
        let known: &[&str] = match key {
            "choice" => &["choice", "name", "prior", "role"],
            _ => &[key, "log", "step", "name", "prior", "role"],
        };
        let before = self.problems.iter().count();
        Fields::open(node, path, self.problems)?.close(known, self.problems);
        let name = match table.get("name") {
            None => path.to_owned(),
            Some(name) => {
                let named = name.as_str().map(str::to_owned);
                if named.is_none() {
                    self.problems.add(name.line, path, "the parameter's name as text", name.describe());
                }
                named?
            }
        };
        let belief = self.belief(table, path);
        if self.problems.iter().count() > before {
            return None;
        }
        let belief = belief?;
        if key == "choice" {
            return self.choice(node, &table["choice"], name, path, conditions, belief);
        }
        let distribution = self.numeric(table, key, path)?;
        if belief.part == Part::Fixed {
            let value = self.fixed(node.line, path, belief.prior, &distribution)?;
            self.fixed.insert(name, value.clone());
            return Some(Item::Value(Node { line: node.line, ..Node::from(&value) }));
        }
        self.parameter(node.line, path, name.clone(), distribution, conditions, belief)?;
        Some(Item::Param(node.line, name))
    }

    fn numeric(&mut self, table: &IndexMap<String, Node>, key: &str, path: &str) -> Option<Distribution> {
        let ends = &table[key];
        let log = match table.get("log") {
            None => false,
            Some(node) => <bool as Decode>::decode(node, &join(path, "log"), self.problems)?,
        };
        let pair = match &ends.kind {
            Kind::Array(nodes) if nodes.len() == 2 => Some((&nodes[0].kind, &nodes[1].kind)),
            _ => None,
        };
        let number = |kind: &Kind| match kind {
            Kind::Int(i) => Some(*i as f64),
            Kind::Float(x) => Some(*x),
            _ => None,
        };
        if key == "float" {
            let step = match table.get("step") {
                None => None,
                Some(node) => Some(<f64 as Decode>::decode(node, &join(path, "step"), self.problems)?),
            };
            let ends_read = pair.and_then(|(low, high)| Some((number(low)?, number(high)?)));
            let Some((low, high)) = ends_read else {
                self.problems.add(ends.line, path, "two numbers: float = [low, high]", ends.describe());
                return None;
            };
            return Some(Distribution::Float { low, high, log, step });
        }
        let step = match table.get("step") {
            None => 1,
            Some(node) => <u64 as Decode>::decode(node, &join(path, "step"), self.problems)? as i64,
        };
        let Some((Kind::Int(low), Kind::Int(high))) = pair else {
            self.problems.add(ends.line, path, "two whole numbers: int = [low, high]", ends.describe());
            return None;
        };
        Some(Distribution::Int { low: *low, high: *high, log, step })
    }

    fn choice(
        &mut self,
        node: &Node,
        options: &Node,
        name: String,
        path: &str,
        conditions: &[Condition],
        belief: Belief,
    ) -> Option<Item> {
        let Kind::Array(nodes) = &options.kind else {
            self.problems.add(options.line, path, "a list of options: choice = [a, b]", options.describe());
            return None;
        };
        let labels = option_labels(nodes);
        let distribution = Distribution::Choice { options: labels.clone() };
        if belief.part == Part::Fixed {
            let value = self.fixed(node.line, path, belief.prior, &distribution)?;
            let at = labels.iter().position(|label| *label == value)?;
            self.fixed.insert(name, value.clone());
            return Some(self.item(&nodes[at], &join(path, &value.to_string()), conditions));
        }
        self.parameter(node.line, path, name.clone(), distribution, conditions, belief)?;
        let mut items = Vec::new();
        for (option, label) in nodes.iter().zip(labels) {
            let mut inner = conditions.to_vec();
            inner.push(Condition::equals(name.clone(), label.clone()));
            let item = if option.as_value().is_some() {
                Item::Value(Node { filled_from: Some(name.clone()), ..option.clone() })
            } else {
                self.item(option, &join(path, &label.to_string()), &inner)
            };
            items.push((label, item));
        }
        Some(Item::Choice(name, items))
    }

    fn repeat(&mut self, node: &Node, path: &str, conditions: &[Condition]) -> Option<Item> {
        let fields = Fields::open(node, path, self.problems)?;
        fields.close(&["repeat", "layer", "tie", "name"], self.problems);
        let tie = fields.or("tie", || false, self.problems)?;
        let Some(layer) = node.get("layer") else {
            self.problems.add(node.line, path, "what to repeat: layer = { … }", node.describe());
            return None;
        };
        let times = node.get("repeat")?;
        let count_path = join(path, "repeat");
        let (count, most) = match self.item(times, &count_path, conditions) {
            Item::Value(Node { kind: Kind::Int(n), .. }) if (0..=MOST_COPIES).contains(&n) => {
                (Count::Fixed(n as usize), n)
            }
            Item::Param(_, name) => match self.space.get(&name).map(|p| &p.distribution) {
                Some(Distribution::Int { low, high, .. }) if *low >= 0 && *high <= MOST_COPIES => {
                    let most = *high;
                    (Count::Param(name), most)
                }
                _ => {
                    self.problems.add(
                        times.line,
                        &count_path,
                        format!("whole numbers from 0 to {MOST_COPIES}"),
                        times.describe(),
                    );
                    return None;
                }
            },
            _ => {
                self.problems.add(
                    times.line,
                    &count_path,
                    format!("a whole number from 0 to {MOST_COPIES}, or a range of them: {{ int = [1, 3] }}"),
                    times.describe(),
                );
                return None;
            }
        };
        let mut copies: Vec<Item> = Vec::new();
        for copy in 1..=most {
            if tie && copy > 1 {
                copies.push(copies[0].clone());
                continue;
            }
            let mut inner = conditions.to_vec();
            if let Count::Param(name) = &count {
                inner.push(Condition::AtLeast { param: name.clone(), value: copy });
            }
            let label = if tie { "layer".to_owned() } else { format!("layer{copy}") };
            copies.push(self.item(layer, &join(path, &label), &inner));
        }
        Some(Item::Repeat(count, copies))
    }

    fn parameter(
        &mut self,
        line: usize,
        path: &str,
        name: String,
        distribution: Distribution,
        conditions: &[Condition],
        belief: Belief,
    ) -> Option<()> {
        let conditions = conditions.to_vec();
        let Belief { prior, part } = belief;
        let role = if let Part::Searched(role) = part { role } else { crate::Role::default() };
        match self.space.push(Parameter {
            name: name.clone(),
            distribution,
            conditions,
            optional: false,
            prior,
            role,
        }) {
            Ok(()) => {
                self.lines.insert(name, line);
                Some(())
            }
            Err(crate::SpaceError::Distribution { source, .. }) => {
                self.problems.add(line, path, "a range with values in it", source.to_string());
                None
            }
            Err(crate::SpaceError::Prior { expected, .. }) => {
                self.problems.add(line, &join(path, "prior"), "a prior that fits the range", expected);
                None
            }
            Err(error) => {
                self.problems.add(line, path, "a name that no other parameter has", error.to_string());
                None
            }
        }
    }
}

/// Whether `path` is `place` or within it.
fn under(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
