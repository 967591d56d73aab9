//! Tests of the IDX reader.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use flate2::{Compression, write::GzEncoder};

use super::*;

pub(crate) fn idx(magic: u32, sizes: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = magic.to_be_bytes().to_vec();
    file.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
    file.extend(bytes);
    file
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("writing to memory");
    encoder.finish().expect("writing to memory")
}

fn file(folder: &tempfile::TempDir, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join("file");
    fs::write(&path, bytes).expect("a writable folder");
    path
}

#[test]
fn gzip_is_told_by_its_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = idx(2051, &[2, 1, 3], &[1, 2, 3, 4, 5, 6]);
    for bytes in [bytes.clone(), gzip(&bytes)] {
        let images = read_images(&file(&folder, &bytes)).expect("images");
        assert_eq!((images.len(), images.height, images.width), (2, 1, 3));
        let mut pixels = Vec::new();
        images.for_each(&[0, 1], |image| pixels.extend_from_slice(image)).expect("in memory");
        assert_eq!(pixels, [1, 2, 3, 4, 5, 6]);
    }
    assert_eq!(read_labels(&file(&folder, &idx(2049, &[3], &[9, 0, 1])), 10).expect("labels"), [9, 0, 1]);
}

#[test]
fn wrong_files_are_named_with_what_was_expected_and_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let packed = gzip(&idx(2051, &[2, 1, 3], &[1, 2, 3, 4, 5, 6]));
    for (bytes, expected) in [
        (
            idx(2049, &[1], &[1]),
            "expected an IDX file of images, which begins with the number 2051, found 2049",
        ),
        (
            idx(2051, &[2, 1, 3], &[1; 5]),
            "expected 6 bytes after the header, found only 5; the file is cut off",
        ),
        (idx(2051, &[2, 1, 3], &[1; 7]), "expected 6 bytes after the header, found more"),
        (idx(2051, &[u32::MAX, u32::MAX, u32::MAX], &[]), "cannot be true"),
        (idx(2051, &[0, 28, 28], &[]), "expected images, found 0 of 28 x 28 pixels"),
        (vec![0, 0], "ends within the header"),
        (Vec::new(), "ends within the header"),
        (packed[..packed.len() - 12].to_vec(), "is cut off; get it anew"),
    ] {
        let path = file(&folder, &bytes);
        let error = read_images(&path).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.starts_with(&path.display().to_string()), "{error}");
    }
    let error = read_labels(&file(&folder, &idx(2049, &[2], &[3, 10])), 10).expect_err("a label").to_string();
    assert!(error.ends_with("expected labels from 0 to 9, label 1 is 10"), "{error}");
    let error = read_images(&folder.path().join("none")).expect_err("no file").to_string();
    assert!(error.starts_with("cannot read "), "{error}");
}
