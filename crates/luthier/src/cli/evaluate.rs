//! `luthier evaluate`: every metric on labelled data.

use std::path::{Path, PathBuf};

use clap::Args;
use luthier_train::data::{InputEncoding, Inputs, Targets};
use luthier_train::{TrainedModel, device};
use serde::Serialize;

use super::Failure;
use super::output::{metrics, print, print_json, tell};
use super::predict::read_images;

#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    /// The model (safetensors)
    model: PathBuf,
    /// A CSV or Parquet file with the target column, a folder of .txt files or images for each class, or IDX images
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
    metrics: luthier_core::Metrics,
}

pub(crate) fn run(args: &EvaluateArgs) -> Result<(), Failure> {
    let device = device(&args.device).map_err(Failure::usage)?;
    let model = TrainedModel::open(&args.model, device)?;
    let (inputs, targets) = match &args.labels {
        Some(labels) => (read_images(&model, &args.data)?, model.preprocessor().read_idx_labels(labels)?),
        None if matches!(model.preprocessor().inputs, InputEncoding::Images(_)) => {
            if !args.data.is_dir() {
                return Err(Failure::usage(
                    "images need their classes: a folder with a folder for each class, or --labels FILE (IDX)",
                ));
            }
            read_class_folders(&model, &args.data)?
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
    let measured = Evaluated { rows: inputs.len(), metrics: model.evaluate(&inputs, &targets)? };
    if args.json {
        return print_json(&measured);
    }
    print(&format!("{} on {} rows", metrics(&measured.metrics), measured.rows))
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
