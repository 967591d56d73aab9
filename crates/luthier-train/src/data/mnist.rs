//! MNIST: where its files may lie, and how they are fetched if they lie nowhere.
//!
//! `LeCun`, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition" (1998).

use std::path::{Path, PathBuf};

use super::download::{self, Contents, RemoteFile};
use super::{DataError, Dataset, Images, Inputs, Progress, Targets, idx};

/// Where the files are fetched from, in this order.
const BASES: [&str; 2] =
    ["https://storage.googleapis.com/cvdf-datasets/mnist/", "https://ossci-datasets.s3.amazonaws.com/mnist/"];

/// The four files, with the SHA-256 of their decompressed contents.
const FILES: [(&str, &str); 4] = [
    ("train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    ("train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    ("t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    ("t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
];

/// Loads the training images, then the test images.
pub(super) fn load(progress: Progress<'_>) -> Result<Dataset, DataError> {
    let own = std::env::var_os("LUTHIER_DATA").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let mut places: Vec<PathBuf> = own.iter().flat_map(|own| [own.join("mnist"), own.clone()]).collect();
    let cache = dirs::cache_dir().map(|cache| cache.join("luthier").join("mnist"));
    places.extend(cache.clone());
    let origin = Origin {
        agent: download::agent(),
        bases: BASES.map(Into::into).into(),
        files: FILES.map(|(name, hash)| RemoteFile {
            name: format!("{name}.gz"),
            contents: Contents::Gzip(hash.into()),
        }),
    };
    load_from(&places, cache.as_deref(), &origin, progress)
}

/// Where missing files come from.
struct Origin {
    agent: ureq::Agent,
    bases: Vec<String>,
    /// In the order of [`FILES`].
    files: [RemoteFile; 4],
}

/// Loads from the first of `places` that holds all four files, else downloads what is missing into `cache`.
fn load_from(
    places: &[PathBuf],
    cache: Option<&Path>,
    origin: &Origin,
    progress: Progress<'_>,
) -> Result<Dataset, DataError> {
    if let Some(paths) = places.iter().find_map(|place| files_in(place)) {
        return read(&paths);
    }
    let mut told: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    if std::env::var_os("LUTHIER_DATA").is_none() {
        told.push("a folder that the environment variable LUTHIER_DATA names".into());
    }
    let failed = |file: &RemoteFile, attempts| DataError::Download {
        file: file.name.clone(),
        attempts,
        files: origin.files.iter().map(|file| file.name.clone()).collect(),
        places: told.clone(),
    };
    let Some(cache) = cache else {
        return Err(failed(&origin.files[0], vec!["this user has no cache folder to keep it in".into()]));
    };
    for ((name, _), file) in FILES.iter().zip(&origin.files) {
        if find(cache, name).is_some() {
            continue;
        }
        download::fetch(&origin.agent, &origin.bases, file, cache, progress)?
            .map_err(|attempts| failed(file, attempts))?;
    }
    match files_in(cache) {
        Some(paths) => read(&paths),
        None => Err(failed(&origin.files[0], vec![format!("{} was emptied meanwhile", cache.display())])),
    }
}

/// The four files in `folder`, if all are there.
fn files_in(folder: &Path) -> Option<[PathBuf; 4]> {
    let found: Vec<PathBuf> = FILES.iter().filter_map(|(name, _)| find(folder, name)).collect();
    found.try_into().ok()
}

/// The file of that name, packed or not, or with a dot as some unpackers write it.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let dotted = name.replace("-idx", ".idx");
    let names = [format!("{name}.gz"), name.to_owned(), format!("{dotted}.gz"), dotted];
    names.iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

fn read(paths: &[PathBuf; 4]) -> Result<Dataset, DataError> {
    let [images, labels, test_images, test_labels] = paths;
    let (inputs, mut targets) = read_pair(images, labels)?;
    let (test_inputs, test_targets) = read_pair(test_images, test_labels)?;
    if (inputs.height, inputs.width) != (test_inputs.height, test_inputs.width) {
        let (height, width) = (inputs.height, inputs.width);
        return Err(DataError::format(
            test_images,
            format!(
                "expected images of {height} x {width} pixels as in training, found {} x {}",
                test_inputs.height, test_inputs.width
            ),
        ));
    }
    let given_test = Some(test_inputs.len());
    let inputs = inputs.followed_by(&test_inputs);
    targets.extend(test_targets);
    let targets = Targets::Classes {
        labels: targets.into_iter().map(u32::from).collect(),
        names: (0..10).map(|digit| digit.to_string()).collect(),
        column: None,
    };
    Ok(Dataset { given_test, ..Dataset::new("mnist", Inputs::Images(inputs), targets) })
}

fn read_pair(images: &Path, labels: &Path) -> Result<(Images, Vec<u8>), DataError> {
    let inputs = idx::read_images(images)?;
    let targets = idx::read_labels(labels, 10)?;
    if inputs.len() == targets.len() {
        return Ok((inputs, targets));
    }
    let (expected, found) = (inputs.len(), targets.len());
    Err(DataError::format(
        labels,
        format!("expected {expected} labels, one for each image in {}, found {found}", images.display()),
    ))
}

#[cfg(test)]
mod tests;
