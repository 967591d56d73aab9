//! What a user knows beforehand: starting points, priors and roles, checked against the space.

use luthier_core::config::{Decode, Kind, Node, Problem, Problems, Template};
use luthier_core::{Params, Role, Space};
use luthier_search::SamplerConfig;

use super::criteria;

/// The starting points of a file, as values of its ranges. A filled-in file searches nothing, and has none.
pub(super) fn starts(
    root: &Node,
    (template, space): (&Template, &Space),
    problems: &mut Problems,
) -> Vec<Params> {
    let list = root.get("search").and_then(|search| search.get("enqueue")).map(|list| &list.kind);
    let (Some(Kind::Array(items)), false) = (list, space.is_empty()) else { return Vec::new() };
    let mut starts = Vec::new();
    for (item, i) in items.iter().zip(1..) {
        let path = format!("search.enqueue.{i}");
        // What is no table of values is said where the section is read.
        let Some(mut given) = Params::decode(item, &path, &mut Problems::new("")) else { continue };
        let line = Some(item.line).filter(|line| *line > 0);
        // What the file keeps to is no parameter, and to say so changes nothing.
        given.retain(|name, value| {
            let constant = criteria::constant(root, template, name).filter(|_| space.get(name).is_none());
            let Some(constant) = constant else { return true };
            if constant != *value && constant.as_f64().is_none_or(|x| Some(x) != value.as_f64()) {
                problems.push(Problem {
                    line,
                    path: format!("{path}.{name}"),
                    expected: format!("the value that the file keeps to, {constant}"),
                    found: value.to_string(),
                    help: None,
                });
            }
            false
        });
        match space.start(&given) {
            Ok(start) => starts.push(start),
            Err(error) => problems.push(Problem {
                line,
                path: format!("{path}.{}", error.name),
                expected: error.expected,
                found: error.found,
                help: error.help,
            }),
        }
    }
    starts
}

/// Refuses what a sampler makes no use of, and comparisons that cannot be made.
pub(super) fn check(
    root: &Node,
    sampler: &SamplerConfig,
    (template, space): (&Template, &Space),
    problems: &mut Problems,
) {
    let believed = space.iter().find(|parameter| parameter.prior.is_some());
    if let (Some(parameter), Err(expected)) = (believed, sampler.for_priors()) {
        problems.add(
            template.line(&parameter.name).unwrap_or(0),
            &format!("{}.prior", parameter.name),
            expected,
            format!("the sampler {:?}", sampler.kind()),
        );
    }
    for key in ["enqueue", "warm_start"] {
        let list = root.get("search").and_then(|search| search.get(key));
        if let (Some(list), Err(expected)) = (list, sampler.for_starts()) {
            problems.add(list.line, &format!("search.{key}"), expected, list.describe());
        }
    }
    if let Err(error) = luthier_search::combinations(space) {
        let parameter = space.iter().find(|parameter| parameter.role == Role::Scientific);
        let name = parameter.map_or("", |parameter| parameter.name.as_str());
        problems.add(
            template.line(name).unwrap_or(0),
            &format!("{name}.role"),
            "scientific parameters with values that can be compared",
            error.message,
        );
    }
}
