//! fANOVA: the share of the variance of losses that a parameter explains, over the whole space.
//!
//! Symbols: a forest has trees f, each constant on boxes with value v and volume w; f0 is the mean of f over the space
//! (every value of a range equally likely on its scale), V its variance. The marginal `a_j(x_j)` is the mean of f over all
//! other parameters, `V_j` its variance, and `V_jk` that of `a_jk(x_j, x_k)` less `V_j` and `V_k`. The importance of a
//! parameter is the mean of `V_j / V` over the trees; that of a pair the mean of `V_jk / V`. All of these are computed
//! exactly from the boxes.
//!
//! **Conditions.** A parameter is judged by a forest on the trials that have it (one forest for all parameters that the
//! same trials have). Parameters that some of these trials lack stand at random places of their ranges there, because they
//! make no difference where they do not exist (Hutter et al. put their defaults there, which a tree takes for a spike). The
//! share among those trials times the share of the study's sum of squares that lies among them is the share of the whole.
//!
//! Hutter, Hoos and Leyton-Brown 2014, "An efficient approach for assessing hyperparameter importance", ICML. The crate
//! `fanova` was looked at: it integrates over the extent of the data instead of the ranges, takes options for ordered
//! numbers, and draws from a generator that is not promised to stay.
//!
//! Complexity: [`TREES`] times that of a tree on at most [`ROWS`] rows, O(d^2 r) for the marginals of a tree with r leaves,
//! and `O(c_j c_k)` for a pair with c cells each.

use luthier_core::{Distribution, Purpose, Rng, Streams};

use super::forest::{Column, Leaf, Side, Table};
use super::{Data, FEWEST, Importance, Importances, Interaction};

/// Trees of a forest, as in Optuna.
const TREES: u64 = 64;

/// Rows that a tree is grown on at most.
const ROWS: usize = 1024;

/// The parameters that the same trials have.
struct Group {
    /// Those that these trials have and no others.
    members: Vec<usize>,
    trials: Vec<usize>,
    /// All parameters that every one of the trials has.
    present: Vec<usize>,
}

/// The importance of every parameter, and of pairs.
pub(super) fn measure(data: &Data<'_>, seed: u64) -> (Vec<Importance>, Vec<Interaction>) {
    let units: Vec<Vec<Option<f64>>> = data.parameters.iter().map(|p| data.units(p)).collect();
    let losses = standard(&data.losses);
    let whole = squares(&losses, &(0..losses.len()).collect::<Vec<_>>());
    let mut parameters: Vec<Importance> = data
        .parameters
        .iter()
        .zip(&units)
        .map(|(parameter, units)| Importance {
            name: parameter.name.clone(),
            share: None,
            measure: None,
            trials: units.iter().flatten().count(),
        })
        .collect();
    let grown: Vec<(Group, Vec<Vec<Leaf>>, f64)> = groups(&units)
        .into_iter()
        .filter(|group| group.trials.len() >= FEWEST)
        .map(|group| {
            // A stream for each tree of each group, and one for what its trials lack.
            let stream = |i: u64| {
                Streams::new(seed).at(Purpose::Importance, group.members[0] as u64 * (TREES + 1) + i)
            };
            let table = table(data, &units, &losses, &group.trials, &mut stream(TREES));
            let rows = group.trials.len().min(ROWS);
            let trees = (0..TREES).map(|t| centred(table.tree(rows, &mut stream(t)))).collect();
            let share = squares(&losses, &group.trials) / whole;
            (group, trees, share)
        })
        .collect();
    for (group, trees, share) in &grown {
        for j in &group.members {
            let explained = mean_share(trees, |tree| explained(tree, *j));
            parameters[*j].measure = Some(explained);
            parameters[*j].share = Some(explained * share);
        }
    }
    // Pairs of the most important ones.
    let mut order: Vec<usize> = (0..parameters.len()).filter(|j| parameters[*j].share.is_some()).collect();
    let share = |j: usize| parameters[j].share.unwrap_or(0.0);
    order.sort_by(|a, b| share(*b).total_cmp(&share(*a)).then(a.cmp(b)));
    order.truncate(Importances::MOST_PAIRED);
    let mut interactions = Vec::new();
    for (group, trees, of_whole) in &grown {
        for j in group.members.iter().filter(|j| order.contains(j)) {
            let others = group.present.iter().filter(|k| order.contains(k));
            for k in others.filter(|k| !group.members.contains(k) || *k > j) {
                let explained = mean_share(trees, |tree| {
                    explained_by_pair(tree, *j, *k) - explained(tree, *j) - explained(tree, *k)
                });
                let names = [*j.min(k), *j.max(k)].map(|j| parameters[j].name.clone());
                interactions.push(Interaction { names, share: explained.max(0.0) * of_whole });
            }
        }
    }
    (parameters, interactions)
}

/// Parameters by the trials that have them.
fn groups(units: &[Vec<Option<f64>>]) -> Vec<Group> {
    let having = |units: &Vec<Option<f64>>| -> Vec<usize> {
        (0..units.len()).filter(|i| units[*i].is_some()).collect()
    };
    let trials: Vec<Vec<usize>> = units.iter().map(having).collect();
    let mut groups: Vec<Group> = Vec::new();
    for (j, trials) in trials.iter().enumerate() {
        if let Some(group) = groups.iter_mut().find(|group| group.trials == *trials) {
            group.members.push(j);
        } else {
            let all = |units: &Vec<Option<f64>>| trials.iter().all(|i| units[*i].is_some());
            let present = (0..units.len()).filter(|k| all(&units[*k])).collect();
            groups.push(Group { members: vec![j], trials: trials.clone(), present });
        }
    }
    groups
}

/// The rows of `trials`.
fn table(
    data: &Data<'_>,
    units: &[Vec<Option<f64>>],
    losses: &[f64],
    trials: &[usize],
    rng: &mut Rng,
) -> Table {
    let mut columns = Vec::new();
    let mut values = Vec::new();
    for (parameter, units) in data.parameters.iter().zip(units) {
        let column = match &parameter.distribution {
            Distribution::Choice { options } => Column::Options(options.len()),
            _ => Column::Scale,
        };
        let value = |i: &usize| {
            let unit = units[*i].unwrap_or_else(|| rng.uniform());
            match column {
                Column::Scale => unit,
                Column::Options(n) => (unit * n as f64).floor().min(n as f64 - 1.0),
            }
        };
        values.push(trials.iter().map(value).collect());
        columns.push(column);
    }
    Table { columns, values, targets: trials.iter().map(|i| losses[*i]).collect() }
}

/// Losses with mean 0, in shares of the largest, so that squares of any loss are finite.
fn standard(losses: &[f64]) -> Vec<f64> {
    let largest = losses.iter().fold(0.0_f64, |largest, loss| largest.max(loss.abs()));
    let scaled: Vec<f64> = losses.iter().map(|loss| loss / largest).collect();
    let mean = scaled.iter().sum::<f64>() / scaled.len() as f64;
    scaled.iter().map(|loss| loss - mean).collect()
}

/// The sum of squared distances from the mean of these trials.
fn squares(losses: &[f64], trials: &[usize]) -> f64 {
    let mean = trials.iter().map(|i| losses[*i]).sum::<f64>() / trials.len() as f64;
    trials.iter().map(|i| (losses[*i] - mean) * (losses[*i] - mean)).sum()
}

/// The volume of a box, the sides along `without` left out.
fn volume(leaf: &Leaf, without: &[usize]) -> f64 {
    let sides = leaf.sides.iter().enumerate().filter(|(j, _)| !without.contains(j));
    sides.map(|(_, side)| side.size()).product()
}

/// A tree whose mean over the space is 0.
fn centred(mut tree: Vec<Leaf>) -> Vec<Leaf> {
    let mean: f64 = tree.iter().map(|leaf| volume(leaf, &[]) * leaf.value).sum();
    for leaf in &mut tree {
        leaf.value -= mean;
    }
    tree
}

/// The mean over the trees that vary of a variance, as a share of the tree's.
fn mean_share(trees: &[Vec<Leaf>], of: impl Fn(&[Leaf]) -> f64) -> f64 {
    let shares: Vec<f64> = trees
        .iter()
        .filter_map(|tree| {
            let all: f64 = tree.iter().map(|leaf| volume(leaf, &[]) * leaf.value * leaf.value).sum();
            (all > 0.0).then(|| of(tree) / all)
        })
        .collect();
    if shares.is_empty() { 0.0 } else { shares.iter().sum::<f64>() / shares.len() as f64 }
}

/// The cells into which the leaves of a tree part a column: their sizes, and which stretches of them each leaf covers.
struct Cells {
    sizes: Vec<f64>,
    covered: Vec<Vec<(usize, usize)>>,
}

impl Cells {
    fn new(tree: &[Leaf], j: usize) -> Self {
        if let Side::Options(options) = &tree[0].sides[j] {
            let sizes = vec![1.0 / options.len() as f64; options.len()];
            return Self { sizes, covered: tree.iter().map(|leaf| stretches(&leaf.sides[j])).collect() };
        }
        let ends = |leaf: &Leaf| match leaf.sides[j] {
            Side::Scale(low, high) => (low, high),
            Side::Options(_) => (0.0, 1.0),
        };
        let mut edges: Vec<f64> = tree
            .iter()
            .flat_map(|leaf| {
                let (low, high) = ends(leaf);
                [low, high]
            })
            .collect();
        edges.sort_by(f64::total_cmp);
        edges.dedup();
        let place = |edge: f64| edges.partition_point(|other| *other < edge);
        let covered = tree
            .iter()
            .map(|leaf| {
                let (low, high) = ends(leaf);
                vec![(place(low), place(high))]
            })
            .collect();
        Self { sizes: edges.windows(2).map(|pair| pair[1] - pair[0]).collect(), covered }
    }
}

/// The stretches of options that are in a side.
fn stretches(side: &Side) -> Vec<(usize, usize)> {
    let Side::Options(options) = side else { return Vec::new() };
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (i, _) in options.iter().enumerate().filter(|(_, inside)| **inside) {
        match found.last_mut() {
            Some((_, end)) if *end == i => *end = i + 1,
            _ => found.push((i, i + 1)),
        }
    }
    found
}

/// The variance of the marginal of one parameter.
fn explained(tree: &[Leaf], j: usize) -> f64 {
    let cells = Cells::new(tree, j);
    // Differences from one cell to the next: a leaf adds at the beginning of a stretch and takes off behind its end.
    let mut steps = vec![0.0; cells.sizes.len() + 1];
    for (leaf, covered) in tree.iter().zip(&cells.covered) {
        let height = leaf.value * volume(leaf, &[j]);
        for (begin, end) in covered {
            steps[*begin] += height;
            steps[*end] -= height;
        }
    }
    let mut height = 0.0;
    cells
        .sizes
        .iter()
        .zip(&steps)
        .map(|(size, step)| {
            height += step;
            size * height * height
        })
        .sum()
}

/// The variance of the marginal of two parameters.
fn explained_by_pair(tree: &[Leaf], j: usize, k: usize) -> f64 {
    let (across, along) = (Cells::new(tree, j), Cells::new(tree, k));
    let width = along.sizes.len() + 1;
    let mut steps = vec![0.0; (across.sizes.len() + 1) * width];
    for (i, leaf) in tree.iter().enumerate() {
        let height = leaf.value * volume(leaf, &[j, k]);
        for (top, bottom) in &across.covered[i] {
            for (begin, end) in &along.covered[i] {
                steps[top * width + begin] += height;
                steps[top * width + end] -= height;
                steps[bottom * width + begin] -= height;
                steps[bottom * width + end] += height;
            }
        }
    }
    let mut above = vec![0.0; width];
    let mut variance = 0.0;
    for (row, size) in steps.chunks_exact(width).zip(&across.sizes) {
        let mut height = 0.0;
        for ((above, step), other) in above.iter_mut().zip(row).zip(&along.sizes) {
            *above += step;
            height += *above;
            variance += size * other * height * height;
        }
    }
    variance
}
