//! Data for the examples, made of the real data: class folders, and arrays.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::bench::{Bench, quoted};

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

/// The digits 0 to 5 with 12,000 training images and 6 to 9 with 1,000, each with all their test images: the
/// sources of two study files.
pub(crate) fn two_tasks(bench: &Bench, data: &Path) -> Result<(String, String)> {
    let source = |name: &str, digits: std::ops::Range<u8>, most: usize| -> Result<String> {
        let mut paths = Vec::new();
        for (part, count, most) in [("train", 60_000, most), ("t10k", 10_000, usize::MAX)] {
            let (images, labels) = idx(data, part, count)?;
            let rows = labels.iter().enumerate().filter(|(_, label)| digits.contains(label)).take(most);
            let (rows, labels): (Vec<usize>, Vec<u8>) =
                rows.map(|(row, label)| (row, label - digits.start)).unzip();
            let images: Vec<u8> =
                rows.iter().flat_map(|row| &images[row * 784..(row + 1) * 784]).copied().collect();
            let count = labels.len();
            paths.push(bench.path(&format!("{name}-{part}-x.npy")));
            fs::write(&paths[paths.len() - 1], npy(&format!("({count}, 28, 28)"), &images))?;
            paths.push(bench.path(&format!("{name}-{part}-y.npy")));
            fs::write(&paths[paths.len() - 1], npy(&format!("({count},)"), &labels))?;
        }
        let keys = ["array", "targets", "test_inputs", "test_targets"];
        let pairs: Vec<String> =
            keys.iter().zip(&paths).map(|(key, path)| format!("{key}={}", quoted(path))).collect();
        Ok(format!("data.source={{{}}}", pairs.join(", ")))
    };
    Ok((source("six", 0..6, 12_000)?, source("four", 6..10, 1_000)?))
}

/// The first `count` images of a part of MNIST, 784 bytes each, and their digits.
fn idx(data: &Path, part: &str, count: usize) -> Result<(Vec<u8>, Vec<u8>)> {
    let read = |name: String, header: usize, bytes: usize| -> Result<Vec<u8>> {
        let file = fs::File::open(data.join("mnist").join(name))?;
        let mut content = vec![0; header + bytes];
        flate2::read::GzDecoder::new(file).read_exact(&mut content)?;
        Ok(content.split_off(header))
    };
    let images = read(format!("{part}-images-idx3-ubyte.gz"), 16, count * 784)?;
    Ok((images, read(format!("{part}-labels-idx1-ubyte.gz"), 8, count)?))
}

/// The first thousand training images of MNIST and their digits, as arrays of NumPy.
pub(crate) fn thousand_digits(bench: &Bench, data: &Path) -> Result<(PathBuf, PathBuf)> {
    let (images, labels) = idx(data, "train", 1_000)?;
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
