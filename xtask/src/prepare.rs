//! Data for the examples, made of the real data: class folders, and arrays.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::bench::Bench;

/// The classes that the base of the transfer learns; the head learns the other four.
const BASE: [&str; 6] = ["airplane", "automobile", "bird", "cat", "deer", "frog"];

/// The folder of class folders, unpacked.
pub(crate) fn photographs(bench: &Bench, data: &Path) -> Result<PathBuf> {
    let folder = bench.path("cifar10-subset");
    if !folder.is_dir() {
        let archive = data.join("images/cifar10-subset.tar.gz");
        let parent = folder.parent().context("a folder")?;
        let unpacked = Command::new("tar").arg("xzf").arg(&archive).arg("-C").arg(parent).status()?;
        ensure!(unpacked.success(), "cannot unpack {}", archive.display());
    }
    Ok(folder)
}

/// Six classes with all their images, and the other four with 250 training images each.
pub(crate) fn two_tasks(bench: &Bench, data: &Path) -> Result<(PathBuf, PathBuf)> {
    let all = photographs(bench, data)?;
    let (six, four) = (bench.path("six-classes"), bench.path("four-classes"));
    for part in ["train", "test"] {
        for class in fs::read_dir(all.join(part))? {
            let class = class?;
            let name = class.file_name();
            let is_base = BASE.iter().any(|base| name.to_str() == Some(base));
            let most = if part == "train" && !is_base { 250 } else { usize::MAX };
            let to = if is_base { &six } else { &four }.join(part).join(&name);
            fs::create_dir_all(&to)?;
            let mut images: Vec<PathBuf> =
                fs::read_dir(class.path())?.map(|image| Ok(image?.path())).collect::<Result<_>>()?;
            images.sort();
            for image in images.iter().take(most) {
                fs::copy(image, to.join(image.file_name().context("a name")?))?;
            }
        }
    }
    Ok((six, four))
}

/// The first thousand training images of MNIST and their digits, as arrays of NumPy.
pub(crate) fn thousand_digits(bench: &Bench, data: &Path) -> Result<(PathBuf, PathBuf)> {
    let read = |name: &str, header: usize, bytes: usize| -> Result<Vec<u8>> {
        let file = fs::File::open(data.join("mnist").join(name))?;
        let mut content = vec![0; header + bytes];
        flate2::read::GzDecoder::new(file).read_exact(&mut content)?;
        Ok(content.split_off(header))
    };
    let images = read("train-images-idx3-ubyte.gz", 16, 1_000 * 784)?;
    let labels = read("train-labels-idx1-ubyte.gz", 8, 1_000)?;
    let (digits, answers) = (bench.path("digits.npy"), bench.path("labels.npy"));
    fs::write(&digits, npy("(1000, 28, 28)", &images))?;
    fs::write(&answers, npy("(1000,)", &labels))?;
    Ok((digits, answers))
}

/// Bytes as an array of NumPy: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.
fn npy(shape: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}");
    while !(10 + header.len() + 1).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), bytes].concat()
}
