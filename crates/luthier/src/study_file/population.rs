//! Population based training by a study file: which parameters change while training, and what does not go together.

use luthier_core::config::{Kind, Node, Problem, Problems, Template};
use luthier_search::Pbt;

use super::SearchSection;

/// The search of a file whose sampler is a population's.
pub(super) fn search(section: &SearchSection, template: &Template) -> Option<Pbt> {
    let pbt = luthier_search::population(&section.sampler)?;
    let settings = &section.population;
    let stays = |name: &str| {
        let place = template.place(name).unwrap_or_default();
        !changes(&place)
            || settings.inherit.iter().any(|inherited| is_of(name, inherited) || is_of(&place, inherited))
    };
    let names = template.space().iter().map(|parameter| parameter.name.clone());
    let inherited = names.filter(|name| stays(name)).collect();
    Some(Pbt {
        population: settings.size,
        interval: settings.interval,
        quantile: settings.quantile,
        inherited,
        ..pbt
    })
}

/// Whether a value may change while training, by its place in the file: the weights fit all the same, and losses can be
/// compared.
fn changes(place: &str) -> bool {
    let (section, rest) = place.split_once('.').unwrap_or((place, ""));
    match section {
        "model" => rest.rsplit('.').next() == Some("dropout"),
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
    let Some(pbt) = search(section, template) else {
        if let Some(settings) = node("search", "population") {
            let found = format!("a population, and the sampler {:?}", section.sampler);
            add(
                Some(settings),
                "search.population",
                "nothing, or the sampler \"pbt\" or \"pb2\"",
                found,
                None,
            );
        }
        return;
    };
    if let Some(pruner) = node("search", "pruner").filter(|pruner| pruner.as_str() != Some("none")) {
        let help = "leave it out: the population itself decides which trials go on";
        add(Some(pruner), "search.pruner", "no pruner beside this sampler", pruner.describe(), Some(help));
    }
    if let Some(trials) = section.trials.filter(|trials| *trials < pbt.population) {
        let found = format!("{trials} trials, and a population of {}", pbt.population);
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
    let varies = |name: &str| !pbt.inherited.iter().any(|inherited| inherited == name);
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
