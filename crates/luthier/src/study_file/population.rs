//! Population based training by a study file: which parameters change while training, and what does not go together.

use luthier_core::config::{Kind, Node, Problem, Problems, Template, nearest};
use luthier_core::{Criteria, Space};
use luthier_search::{Misfit, SamplerConfig};

use super::SearchSection;

/// The sampler of a file; where it trains a population, with all parameters that stay as they are by their names.
pub(super) fn resolved(sampler: &SamplerConfig, template: &Template) -> SamplerConfig {
    let mut sampler = sampler.clone();
    if let Some(settings) = sampler.population_mut() {
        let stays = |name: &str| {
            let place = template.place(name).unwrap_or_default();
            !changes(&place) || settings.inherit.iter().any(|one| is_of(name, one) || is_of(&place, one))
        };
        let names = template.space().iter().map(|parameter| parameter.name.clone());
        settings.inherit = names.filter(|name| stays(name)).collect();
    }
    sampler
}

/// Whether a value may change while training, by its place in the file: the weights fit all the same, and losses can be
/// compared.
fn changes(place: &str) -> bool {
    let (section, rest) = place.split_once('.').unwrap_or((place, ""));
    match section {
        "model" => rest.rsplit('.').next().is_some_and(|key| ["dropout", "spatial_dropout"].contains(&key)),
        "data" => is_of(rest, "augment"),
        "train" => !is_of(rest, "loss"),
        _ => true,
    }
}

/// Whether a name is this one, or below it; the section `params` need not be named.
fn is_of(name: &str, other: &str) -> bool {
    let below =
        |name: &str| name.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    below(name) || name.strip_prefix("params.").is_some_and(below)
}

/// What a file with such a sampler may not say.
pub(super) fn check(root: &Node, section: &SearchSection, template: &Template, problems: &mut Problems) {
    let node = |section: &str, key: &str| root.get(section).and_then(|section| section.get(key));
    let mut add = |at: Option<&Node>, path: &str, expected: &str, found: String, help: Option<&str>| {
        problems.push(Problem {
            line: at.map(|node| node.line).filter(|line| *line > 0),
            path: path.to_owned(),
            expected: expected.to_owned(),
            found,
            help: help.map(str::to_owned),
        });
    };
    let sampler = node("search", "sampler");
    let Some(pbt) = resolved(&section.sampler, template).population() else { return };
    if let Some(pruner) = node("search", "pruner").filter(|pruner| pruner.as_str() != Some("none")) {
        let help = "leave it out: the population itself decides which trials go on";
        add(Some(pruner), "search.pruner", "no pruner beside this sampler", pruner.describe(), Some(help));
    }
    if let Some(trials) = section.trials.filter(|trials| *trials < pbt.size()) {
        let found = format!("{trials} trials, and a population of {}", pbt.size());
        let help =
            "each member that is replaced is one more trial: leave `trials` out for as many as it takes";
        add(
            node("search", "trials"),
            "search.trials",
            "at least as many as the population has",
            found,
            Some(help),
        );
    }
    let varies = |name: &str| !pbt.settings.inherit.iter().any(|inherited| inherited == name);
    // A filled-in file has no ranges at all.
    if !template.space().is_empty() && !template.space().iter().any(|parameter| varies(&parameter.name)) {
        let found = "none: every range changes the shapes of weights, or is to stay as it is".to_owned();
        let help = "give the optimizer, a schedule, the batch size or a dropout rate a range";
        add(sampler, "search.sampler", "a parameter that can change while training", found, Some(help));
    }
    if root.get("command").is_some() {
        let is = |key: &str| node("command", key);
        if is("resumes").is_none_or(|resumes| resumes.kind != Kind::Bool(true)) {
            let help = "say `resumes = true` in [command], if the program goes on from what is in $LUTHIER_CHECKPOINT";
            let found = "one that cannot go on from a checkpoint".to_owned();
            add(sampler, "search.sampler", "a program that goes on from checkpoints", found, Some(help));
        }
        if is("steps").is_none() {
            let found = "nothing: the key is missing".to_owned();
            add(sampler, "command.steps", "the number of steps of a whole trial", found, None);
        }
    } else if let Some(folds) = node("data", "split").and_then(|split| split.get("folds"))
        && node("data", "split").and_then(|split| split.get("fold")).is_none()
    {
        let help = "take one fold (`fold = 0`), or another sampler";
        add(
            Some(folds),
            "data.split.folds",
            "one training a trial beside this sampler",
            folds.describe(),
            Some(help),
        );
    }
}

/// What a file with such a sampler may not say of its parameters, of what counts, and of where it begins.
pub(super) fn check_space(
    root: &Node,
    section: &SearchSection,
    (template, space): (&Template, &Space),
    criteria: &Criteria,
    problems: &mut Problems,
) {
    let Some(pbt) = resolved(&section.sampler, template).population() else { return };
    let search = |key: &str| root.get("search").and_then(|search| search.get(key));
    let sampler = format!("the sampler {:?}", section.sampler.kind());
    match pbt.check(space, criteria) {
        Err(Misfit::Objectives) => {
            let node = root.get("study").and_then(|study| study.get("objective"));
            let (line, found) = node.map_or((0, String::new()), |node| (node.line, node.describe()));
            let expected = "one objective: a population ranks its members by it";
            problems.add(line, "study.objective", expected, format!("{found}, and {sampler}"));
        }
        Err(Misfit::Role(name)) => problems.add(
            template.line(&name).unwrap_or(0),
            &format!("{name}.role"),
            "a sampler that compares scientific parameters; the values of a population change while a trial runs",
            sampler,
        ),
        // Priors are looked at for all samplers, and what is inherited is found among the parameters.
        Err(Misfit::Prior(_) | Misfit::Inherited(_)) | Ok(()) => {}
    }
    let most = usize::try_from(pbt.size()).unwrap_or(usize::MAX);
    if let Some(list) = search("enqueue")
        && section.enqueue.len() > most
    {
        let expected = format!("at most {most} configurations, as many as the population has members");
        problems.add(list.line, "search.enqueue", expected, list.describe());
    }
    let Some(Kind::Array(items)) =
        search("sampler").and_then(|settings| settings.get("inherit")).map(|list| &list.kind)
    else {
        return;
    };
    for item in items.iter().filter(|_| !space.is_empty()) {
        let Some(name) = item.as_str() else { continue };
        let place = |parameter: &str| template.place(parameter).unwrap_or_default();
        if is_written(root, name)
            || space.iter().any(|one| is_of(&one.name, name) || is_of(&place(&one.name), name))
        {
            continue;
        }
        let names = space.iter().map(|parameter| parameter.name.as_str());
        let bare = space.iter().filter_map(|parameter| parameter.name.strip_prefix("params."));
        problems.push(Problem {
            line: Some(item.line).filter(|line| *line > 0),
            path: "search.sampler.inherit".to_owned(),
            expected: "names of parameters with ranges, or of what they stand below".to_owned(),
            found: format!("{name:?}"),
            help: nearest(name, names.chain(bare)).map(|near| format!("did you mean {near:?}?")),
        });
    }
}

/// Whether the file has something at this path: a value that has no range stays as it is anyway.
fn is_written(root: &Node, path: &str) -> bool {
    let at = |root: &Node| path.split('.').try_fold(root, |node, key| node.get(key)).is_some();
    at(root) || root.get("params").is_some_and(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_no_shape_may_change() {
        let changing = [
            "train.optimizer.learning_rate",
            "train.batch_size",
            "train.schedule.learning_rate.warmup",
            "model.layers.*.dropout",
            "model.layers.*.spatial_dropout",
            "data.augment.flip",
            "params.lr",
        ];
        let staying = [
            "model.layers.*.dense",
            "model.layers.repeat",
            "data.scale",
            "train.loss.focal.gamma",
            "model.dropouts",
        ];
        assert!(changing.iter().all(|place| changes(place)));
        assert!(staying.iter().all(|place| !changes(place)));
        assert!(
            is_of("params.width", "width") && is_of("model.layers", "model") && !is_of("models", "model")
        );
    }
}
