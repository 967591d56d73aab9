//! What is read of a study file beside its sections: its identity, what is set in it, and its names.

use luthier_core::config::{Kind, Node, Problem, Problems, nearest};

use super::StudyFile;
use super::criteria::each;

/// A study file without what may change while a study goes on: the limits.
pub(super) fn without_limits(root: &Node) -> Node {
    let mut root = root.clone();
    if let Kind::Table(sections) = &mut root.kind {
        for (section, keys) in
            [("search", &["trials", "timeout", "parallel"][..]), ("study", &["target"][..])]
        {
            if let Some(Kind::Table(table)) = sections.get_mut(section).map(|section| &mut section.kind) {
                table.retain(|key, _| !keys.contains(&key.as_str()));
            }
        }
    }
    root
}

/// The lines by which a stored study file and this one differ, limits apart: `- old` and `+ new`. Empty
/// if they agree.
pub fn difference(stored: &str, now: &StudyFile) -> Vec<String> {
    let stored = Node::parse(stored, "stored")
        .map_or_else(|_| stored.to_owned(), |root| without_limits(&root).to_toml());
    let now = now.identity();
    let missing = |lines: &str, from: &str, mark: char| -> Vec<String> {
        let there: Vec<&str> = from.lines().collect();
        lines.lines().filter(|line| !there.contains(line)).map(|line| format!("{mark} {line}")).collect()
    };
    if stored == now {
        return Vec::new();
    }
    let mut lines = missing(&stored, &now, '-');
    lines.extend(missing(&now, &stored, '+'));
    if lines.is_empty() {
        lines.push("the same lines in another order".to_owned());
    }
    lines
}

pub(super) fn apply_sets(root: &mut Node, sets: &[String]) -> Result<(), Problems> {
    let mut problems = Problems::new("--set");
    for set in sets {
        match set.split_once('=') {
            Some((path, value)) => {
                if let Err(reason) = root.set(path.trim(), Node::parse_value(value.trim())) {
                    problems.add(0, path, "a path in the study file", reason);
                }
            }
            None => problems.add(0, set, "PATH=VALUE", "no `=`"),
        }
    }
    problems.or(Some(()))
}

/// Checks the keys that name something; no range may stand there.
pub(super) fn check_names(root: &Node, problems: &mut Problems) {
    let node = |section: &str, key: &str| root.get(section).and_then(|section| section.get(key));
    let line = |section: &str, key: &str| node(section, key).map_or(0, |node| node.line);
    let mut one_of = |section: &str, key: &str, known: &[&str]| {
        let Some(all) = node(section, key) else { return };
        for found in each(all).into_iter().filter_map(Node::as_str).filter(|found| !known.contains(found)) {
            problems.push(Problem {
                line: Some(line(section, key)).filter(|line| *line > 0),
                path: format!("{section}.{key}"),
                expected: format!("one of {}", known.join(", ")),
                found: format!("{found:?}"),
                help: nearest(found, known.iter().copied()).map(|near| format!("did you mean {near:?}?")),
            });
        }
    };
    one_of("study", "direction", &["minimize", "maximize"]);
    one_of("search", "order", &["ordered", "free"]);
    if node("study", "name").and_then(Node::as_str).is_some_and(|name| name.trim().is_empty()) {
        problems.add(line("study", "name"), "study.name", "a name", "empty text");
    }
}
