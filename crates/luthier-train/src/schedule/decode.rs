//! Reading a schedule: a name, a table, a list of points or a formula.

use indexmap::IndexMap;
use luthier_core::config::{Decode, Documented as _, Kind, Node, Problem, Problems, nearest};

use super::{Common, Curve, Formula, FormulaCurve, Interpolation, Points, Schedule};

impl Decode for Schedule {
    const EXPECTED: &'static str = Curve::EXPECTED;

    fn schema() -> luthier_core::config::Schema {
        Curve::schema().with_common(Common::FIELDS)
    }

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        match &node.kind {
            Kind::Text(text) if !is_name_of_kind(text) => {
                let formula = Formula::decode(node, path, problems)?;
                Some(Curve::Formula(FormulaCurve { formula }).into())
            }
            Kind::Text(_) => Curve::decode(node, path, problems).map(Self::from),
            Kind::Array(_) => {
                // Through the table form, so that the list is checked in the same way.
                let list = Node { kind: node.kind.clone(), ..node.clone() };
                let keys = IndexMap::from([("points".to_owned(), list)]);
                let table = Node { kind: Kind::Table(keys), ..node.clone() };
                let points = Points::decode(&table, path, problems)?;
                debug_assert_eq!(points.interpolation, Interpolation::Step);
                Some(Curve::Points(points).into())
            }
            Kind::Table(table) => decode_table(node, table, path, problems),
            Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) => {
                problems.add(node.line, path, Self::EXPECTED, node.describe());
                None
            }
        }
    }
}

/// Whether text is, or was meant to be, the name of a kind: any other text is a formula.
fn is_name_of_kind(text: &str) -> bool {
    let word = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
    // `step` is a kind before it is a value, and so is `multi-step` before it is a difference.
    Curve::KINDS.contains(&text.replace('-', "_").as_str()) || word && !Formula::knows(text)
}

fn decode_table(
    node: &Node,
    table: &IndexMap<String, Node>,
    path: &str,
    problems: &mut Problems,
) -> Option<Schedule> {
    let kind = table.get("kind").and_then(Node::as_str).unwrap_or("");
    let own = Curve::fields(kind);
    let is_common = |key: &str| Common::FIELDS.iter().any(|field| field.key == key);
    let (mut curve, mut common) = (IndexMap::new(), IndexMap::new());
    let before = problems.iter().count();
    for (key, value) in table {
        let is_own = own.iter().any(|field| field.key == key) || matches!(key.as_str(), "kind" | "name");
        if is_own {
            curve.insert(key.clone(), value.clone());
        } else if is_common(key) {
            common.insert(key.clone(), value.clone());
        } else if Curve::KINDS.contains(&kind) {
            let known = || own.iter().chain(Common::FIELDS).map(|field| field.key);
            problems.push(Problem {
                line: (value.line > 0).then_some(value.line),
                path: format!("{path}.{key}"),
                expected: format!("one of the keys {}", known().collect::<Vec<_>>().join(", ")),
                found: format!("the unknown key `{key}`"),
                help: nearest(key, known()).map(|near| format!("did you mean `{near}`?")),
            });
        }
    }
    let part = |keys| Node { kind: Kind::Table(keys), ..node.clone() };
    let (curve, common) = (part(curve), part(common));
    let curve = Curve::decode(&curve, path, problems);
    let common = Common::decode(&common, path, problems);
    let schedule = Schedule { curve: curve?, common: common? };
    check(&schedule, node.line, path, problems);
    (problems.iter().count() == before).then_some(schedule)
}

/// Finds keys that do not go together.
fn check(schedule: &Schedule, line: usize, path: &str, problems: &mut Problems) {
    let common = &schedule.common;
    if common.warmup > 0.0 && common.warmup_epochs.is_some() {
        problems.add(
            line,
            path,
            "either `warmup`, a share of all steps, or `warmup_epochs`",
            "both of them".to_owned(),
        );
    }
    if let (Some(min), Some(max)) = (common.min, common.max)
        && min > max
    {
        problems.add(line, path, "a `min` of at most `max`", format!("min = {min:?} and max = {max:?}"));
    }
    if matches!(schedule.curve, Curve::Plateau(_)) && common.plateau.is_some() {
        problems.add(
            line,
            path,
            "one reaction to plateaus",
            "the kind \"plateau\" with a key `plateau` beside it".to_owned(),
        );
    }
    let inner: Vec<&Schedule> = match &schedule.curve {
        Curve::Join(join) => join.parts.iter().map(|part| &part.schedule).collect(),
        Curve::Product(product) => product.of.iter().collect(),
        _ => return,
    };
    if inner.iter().any(|schedule| schedule.plateau().is_some()) {
        problems.add(
            line,
            path,
            "reactions to plateaus only outside, in the key `plateau` of the whole",
            "one within a part".to_owned(),
        );
    }
}
