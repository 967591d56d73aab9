//! `luthier evaluate`: every metric on labelled data.

use std::path::{Path, PathBuf};

use clap::Args;
use comfy_table::CellAlignment;
use luthier_train::data::{InputEncoding, Inputs, Targets};
use luthier_train::{ConfusionMatrix, Measured, TrainedModel, device};
use serde::Serialize;

use super::Failure;
use super::output::{number, print, print_json, table, table_text, tell};
use super::predict::read_images;

#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    /// The model (safetensors)
    model: PathBuf,
    /// A CSV or Parquet file with the target column, a folder with a folder of images or of .txt files for each
    /// class, or IDX images
    data: PathBuf,
    /// The labels of IDX images
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Where to compute
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Evaluated {
    rows: usize,
    #[serde(flatten)]
    measured: Measured,
}

pub(crate) fn run(args: &EvaluateArgs) -> Result<(), Failure> {
    let device = device(&args.device).map_err(Failure::usage)?;
    let model = TrainedModel::open(&args.model, device)?;
    let is_images = matches!(model.preprocessor().inputs, InputEncoding::Images(_));
    let (inputs, targets) = match &args.labels {
        Some(labels) => (read_images(&model, &args.data)?, model.preprocessor().read_idx_labels(labels)?),
        None if is_images && args.data.is_dir() => read_class_folders(&model, &args.data)?,
        None if is_images => {
            return Err(Failure::usage(
                "images need their classes: a folder with a folder for each class, or --labels FILE (IDX)",
            ));
        }
        None => read_rows(&model, &args.data)?,
    };
    if inputs.len() != targets.len() {
        return Err(Failure::failed(format!(
            "there are {} images and {} labels",
            inputs.len(),
            targets.len()
        )));
    }
    if inputs.is_empty() {
        return Err(Failure::failed(format!("{} has no rows", args.data.display())));
    }
    let measured = Evaluated { rows: inputs.len(), measured: model.evaluate(&inputs, &targets)? };
    if args.json {
        return print_json(&measured);
    }
    print(&text(&measured))
}

/// One line a metric, and the confusion matrix below.
fn text(evaluated: &Evaluated) -> String {
    let Measured { metrics, undefined, confusion } = &evaluated.measured;
    let width = metrics.iter().map(|(name, _)| name.len()).chain(undefined.iter().map(|u| u.metric.len()));
    let width = width.max().unwrap_or(0);
    let mut text = format!("{} rows\n\n", evaluated.rows);
    for (name, value) in metrics.iter() {
        text += &format!("{name:width$}  {}\n", number(value));
    }
    for missing in undefined {
        text += &format!("{:width$}  none: {}\n", missing.metric, missing.reason);
    }
    if let Some(confusion) = confusion {
        text += &format!("\nrows: the true class; columns: what the model says\n\n{}", matrix(confusion));
    }
    text
}

fn matrix(confusion: &ConfusionMatrix) -> String {
    let mut lines = table(std::iter::once("").chain(confusion.classes.iter().map(String::as_str)));
    for column in lines.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for (class, counts) in confusion.classes.iter().zip(&confusion.counts) {
        lines.add_row(std::iter::once(class.clone()).chain(counts.iter().map(u64::to_string)));
    }
    table_text(&lines)
}

fn read_class_folders(model: &TrainedModel, folder: &Path) -> Result<(Inputs, Targets), Failure> {
    let images = model.preprocessor().read_image_folder(folder)?;
    let targets = images.targets?.ok_or_else(|| {
        Failure::failed(format!(
            "{} has no class folders, and without classes nothing can be measured",
            folder.display()
        ))
    })?;
    Ok((images.inputs, targets))
}

fn read_rows(model: &TrainedModel, path: &Path) -> Result<(Inputs, Targets), Failure> {
    let rows = model.preprocessor().read_rows(path)?;
    for notice in &rows.notices {
        tell(&format!("note: {notice}"));
    }
    let flagged = rows.flags.iter().filter(|row| !row.flags.is_empty()).count();
    if flagged > 0 {
        tell(&format!("note: {flagged} rows are unlike the training data; `luthier predict` says how"));
    }
    let targets = rows.targets?.ok_or_else(|| {
        Failure::failed(format!(
            "{} has no target column, and without it nothing can be measured",
            path.display()
        ))
    })?;
    Ok((rows.inputs, targets))
}
