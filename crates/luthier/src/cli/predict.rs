//! `luthier predict`: a model at work on new data.

use std::path::{Path, PathBuf};

use clap::Args;
use luthier_train::data::{InputEncoding, Inputs};
use luthier_train::{Answer, Prediction, TrainedModel, device};
use serde::Serialize;

use super::Failure;
use super::output::{print, tell};

#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    /// The model (safetensors)
    model: PathBuf,
    /// A CSV or Parquet file, IDX images, PNG or JPEG images or folders of them, or .txt files; - reads CSV from
    /// stdin
    #[arg(required = true)]
    data: Vec<PathBuf>,
    /// Where to compute
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Print one JSON object a row
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    row: usize,
    #[serde(flatten)]
    prediction: &'a Prediction,
}

pub(crate) fn run(args: &PredictArgs) -> Result<(), Failure> {
    let device = device(&args.device).map_err(Failure::usage)?;
    let model = TrainedModel::open(&args.model, device)?;
    let mut text = String::new();
    let are_images = matches!(model.preprocessor().inputs, InputEncoding::Images(_));
    let is_folder = |path: &Path| are_images && path.is_dir();
    let several = args.data.len() > 1 || is_folder(&args.data[0]);
    if !args.json {
        let answer = match model.preprocessor().task() {
            luthier_train::data::Task::Classification => "class,probability",
            luthier_train::data::Task::Regression => "value",
        };
        text += &format!("{}row,{answer},flags\n", if several { "file," } else { "" });
    }
    let mut flagged = 0;
    for path in &args.data {
        // A folder has a picture a file; every other file has its rows.
        let files = is_folder(path).then(|| model.preprocessor().read_image_folder(path)).transpose()?;
        let predictions = match &files {
            Some(images) => model.predict(&images.inputs, &[])?,
            None => predict(&model, path)?,
        };
        for (index, prediction) in predictions.iter().enumerate() {
            flagged += usize::from(!prediction.flags.is_empty());
            let (path, row) = files.as_ref().map_or((path, index + 1), |images| (&images.files[index], 1));
            let file = several.then(|| path.display().to_string());
            if args.json {
                text += &serde_json::to_string(&Line { file, row, prediction })?;
            } else {
                if let Some(file) = file {
                    text += &format!("{},", quoted(&file));
                }
                text += &line(row, prediction);
            }
            text.push('\n');
        }
    }
    if flagged > 0 {
        tell(&format!("note: {flagged} rows are unlike the training data; their flags say how"));
    }
    print(&text)
}

fn predict(model: &TrainedModel, path: &Path) -> Result<Vec<Prediction>, Failure> {
    if matches!(model.preprocessor().inputs, InputEncoding::Images(_)) {
        let inputs = read_images(model, path)?;
        return Ok(model.predict(&inputs, &[])?);
    }
    let rows = if path.as_os_str() == "-" {
        model.preprocessor().read_rows_from("standard input", std::io::stdin().lock())?
    } else {
        model.preprocessor().read_rows(path)?
    };
    for notice in &rows.notices {
        tell(&format!("note: {notice}"));
    }
    Ok(model.predict(&rows.inputs, &rows.flags)?)
}

/// Images from an IDX file or from a picture, told apart by the first bytes.
pub(crate) fn read_images(model: &TrainedModel, path: &Path) -> Result<Inputs, Failure> {
    let bytes = std::fs::read(path)
        .map_err(|error| Failure::failed(format!("cannot read {}: {error}", path.display())))?;
    let is_picture = bytes.starts_with(b"\x89PNG") || bytes.starts_with(b"\xff\xd8\xff");
    Ok(if is_picture {
        model.preprocessor().read_image(path)?
    } else {
        model.preprocessor().read_idx(path)?
    })
}

fn line(row: usize, prediction: &Prediction) -> String {
    let answer = match &prediction.answer {
        Answer::Class { class, probability } => format!("{},{probability:.6}", quoted(class)),
        Answer::Number { value } => format!("{value}"),
    };
    let flags: Vec<String> = prediction.flags.iter().map(ToString::to_string).collect();
    format!("{row},{answer},{}", quoted(&flags.join("; ")))
}

/// A field of CSV (RFC 4180).
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
