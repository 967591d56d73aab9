//! Tests of reading class folders: the same pixels wherever they are kept, and every file that is at fault
//! named.

use std::fs;

use image::{GrayImage, RgbImage};
use luthier_core::config::Node;
use tempfile::TempDir;

use super::*;
use crate::data::{Preprocessor, TransformConfig};

/// A colour picture that is unlike every other.
fn picture(seed: u8, width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([seed.wrapping_mul(31).wrapping_add((7 * x + 13 * y) as u8), seed, (50 * x) as u8])
    })
}

fn save(root: &Path, name: &str, seed: u8) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
    picture(seed, 6, 4).save(path).expect("writable");
}

/// Four pictures of two classes for training, two for the test.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (i, name) in [
        "train/cat/1.png",
        "train/cat/2.jpg",
        "train/ant/b.png",
        "train/ant/a.png",
        "test/cat/9.png",
        "test/ant/8.jpeg",
    ]
    .iter()
    .enumerate()
    {
        save(folder.path(), name, i as u8);
    }
    save(folder.path(), "train/ant/.hidden.png", 9);
    folder
}

fn source(settings: &str) -> ImagesSource {
    let node = Node::parse(&format!("images = \".\"\n{settings}"), "test").expect("TOML");
    let mut problems = Problems::new("test");
    ImagesSource::decode(&node, "", &mut problems).unwrap_or_else(|| panic!("{problems}"))
}

fn pixels(data: &Dataset) -> Vec<u8> {
    let Inputs::Images(images) = &data.inputs else { panic!("images") };
    let rows: Vec<usize> = (0..images.len()).collect();
    let mut pixels = Vec::new();
    images.for_each(&rows, |image| pixels.extend_from_slice(image)).expect("readable");
    pixels
}

fn error(root: &Path, settings: &str) -> String {
    source(settings).load(root).expect_err("wrong").to_string().replace(&root.display().to_string(), "FOLDER")
}

#[test]
fn classes_and_files_are_in_the_order_of_their_names() {
    let folder = folder();
    let data = source("").load(folder.path()).expect("valid");
    let Targets::Classes { labels, names, column: None } = &data.targets else { panic!("classes") };
    assert_eq!(
        (names.as_slice(), labels.as_slice()),
        (&["ant".into(), "cat".into()][..], &[0, 0, 1, 1, 0, 1][..])
    );
    assert_eq!(data.given_test, Some(2));
    let Inputs::Images(images) = &data.inputs else { panic!("images") };
    assert_eq!((images.channels, images.height, images.width, images.resizes()), (3, 4, 6, false));
    // The first is `train/ant/a.png`: red, green and blue each in a plane of their own.
    let first = picture(3, 6, 4);
    let found = pixels(&data);
    for channel in 0..3 {
        let plane: Vec<u8> = first.pixels().map(|pixel| pixel[channel]).collect();
        assert_eq!(found[channel * 24..(channel + 1) * 24], plane);
    }
}

#[test]
fn pictures_are_the_same_in_memory_and_on_disk() {
    let folder = folder();
    for settings in ["", "channels = \"grey\"", "size = [3, 5]"] {
        let near = source(settings).load(folder.path()).expect("valid");
        let far = source(&format!("memory = 10\n{settings}")).load(folder.path()).expect("valid");
        let in_memory = |data: &Dataset| matches!(&data.inputs, Inputs::Images(images) if images.in_memory());
        assert!(in_memory(&near) && !in_memory(&far));
        assert_eq!(pixels(&near), pixels(&far));
        assert_eq!(near.fingerprint().expect("readable"), far.fingerprint().expect("readable"));
        let fit =
            |data: &Dataset| Preprocessor::fit(data, &[0, 2, 3], &TransformConfig::default()).expect("valid");
        assert_eq!(fit(&near), fit(&far));
        let encode = |data: &Dataset| {
            let mut out = Vec::new();
            fit(data).encode(&data.inputs, &[5, 0, 0], &mut out).expect("readable");
            out
        };
        assert_eq!(encode(&near), encode(&far));
    }
}

#[test]
fn a_picture_that_is_gone_later_is_named() {
    let folder = folder();
    let data = source("memory = 0").load(folder.path()).expect("valid");
    fs::remove_file(folder.path().join("train/cat/1.png")).expect("writable");
    let Inputs::Images(images) = &data.inputs else { panic!("images") };
    let error = images.read(2, &mut vec![0; images.size()]).expect_err("gone").to_string();
    assert!(error.contains("cannot read") && error.contains("1.png"), "{error}");
    let error = data.fingerprint().expect_err("gone").to_string();
    assert!(error.contains("1.png"), "{error}");
}

#[test]
fn every_broken_file_is_named_at_once_and_left_out_on_demand() {
    let folder = folder();
    let root = folder.path();
    let cut = |name: &str, keep: f64| {
        let bytes = fs::read(root.join(name)).expect("readable");
        fs::write(root.join(name), &bytes[..(bytes.len() as f64 * keep) as usize]).expect("writable");
    };
    cut("train/cat/2.jpg", 0.99);
    cut("train/ant/b.png", 0.6);
    fs::write(root.join("train/ant/notes.txt"), "text").expect("writable");
    fs::write(root.join("train/cat/empty.png"), "").expect("writable");
    fs::create_dir(root.join("train/cat/more")).expect("writable");
    for memory in ["", "memory = 0"] {
        let error = error(root, memory);
        let expected = [
            "FOLDER: 5 files cannot be used; mend or remove them, or leave them out by `skip_broken = true`:",
            "FOLDER/train/ant/b.png: the image is broken or cut off: ",
            "FOLDER/train/ant/notes.txt: expected an image, PNG or JPEG, found something else",
            "FOLDER/train/cat/2.jpg: the image is cut off: the end of the JPEG is missing",
            "FOLDER/train/cat/empty.png: expected an image, PNG or JPEG, found an empty file",
            "FOLDER/train/cat/more: ",
        ];
        for (line, expected) in error.lines().zip(expected) {
            assert!(line.trim_start().starts_with(expected) || line.contains("cannot read"), "{line}");
        }
        assert_eq!(error.lines().count(), 6, "{error}");

        let data = source(&format!("skip_broken = true\n{memory}")).load(root).expect("four are whole");
        let Targets::Classes { labels, .. } = &data.targets else { panic!("classes") };
        assert_eq!((labels.as_slice(), data.given_test), (&[0, 1, 0, 1][..], Some(2)));
        let Inputs::Images(images) = &data.inputs else { panic!("images") };
        assert_eq!((images.len(), images.notices().len()), (4, 5));
        assert!(images.notices()[0].starts_with("left out: "), "{:?}", images.notices());
        let second: Vec<u8> = picture(0, 6, 4).pixels().map(|pixel| pixel[0]).collect();
        assert_eq!(pixels(&data)[72..96], second);
    }
    for name in ["train/ant/a.png", "train/ant/b.png"] {
        fs::write(root.join(name), "text").expect("writable");
    }
    assert_eq!(error(root, "skip_broken = true"), "FOLDER: no picture of the classes `ant` can be used");
}

#[test]
fn folders_that_make_no_classes_are_explained() {
    let folder = folder();
    let root = folder.path();
    save(root, "test/dog/1.png", 1);
    assert_eq!(
        error(root, ""),
        "FOLDER/test: `dog` are classes of the test set alone; the classes in training are `ant`, `cat`"
    );
    fs::remove_dir_all(root.join("test/dog")).expect("writable");
    fs::create_dir(root.join("train/bee")).expect("writable");
    fs::create_dir(root.join("train/fly")).expect("writable");
    assert_eq!(
        error(root, ""),
        "FOLDER: the class folders `train/bee`, `train/fly` are empty; fill them or remove them"
    );
    fs::remove_dir(root.join("train/bee")).expect("writable");
    fs::remove_dir(root.join("train/fly")).expect("writable");
    fs::create_dir(root.join("valid")).expect("writable");
    assert!(error(root, "").contains("expected the folders `train` and `test` alone, found `valid`"));
    fs::remove_dir(root.join("valid")).expect("writable");
    save(&root.join("train"), "stray.png", 1);
    assert!(error(root, "").contains("1 pictures lie beside the class folders, such as `stray.png`"));
    assert_eq!(
        error(&root.join("train/cat"), ""),
        "FOLDER: 2 pictures lie beside the class folders, such as `1.png`, `2.jpg`; put each into its class"
    );
    assert!(
        error(&root.join("train/cat/1.png"), "").ends_with("expected a folder of pictures, found a file")
    );
    let only = tempfile::tempdir().expect("a folder");
    save(only.path(), "cat/1.png", 1);
    assert!(error(only.path(), "").ends_with("expected folders of at least 2 classes, found `cat` alone"));
}

#[test]
fn pictures_of_several_sizes_need_one_that_is_set() {
    let folder = folder();
    let root = folder.path();
    picture(7, 9, 5).save(root.join("train/cat/large.png")).expect("writable");
    let said = error(root, "");
    assert!(
        said.starts_with(
            "FOLDER: the pictures are of 2 sizes: most are 6 x 4 (width, height), 1 of 7 are not, such as: \
             train/cat/large.png is 9 x 5; set `size`"
        ),
        "{said}"
    );
    let data = source("size = 3").load(root).expect("valid");
    let Inputs::Images(images) = &data.inputs else { panic!("images") };
    assert_eq!((images.height, images.width, images.len(), images.resizes()), (3, 3, 7, true));
}

#[test]
fn grey_pictures_stay_grey_unless_one_has_colour() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["a/1.png", "b/1.png"] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        GrayImage::from_fn(2, 2, |x, y| image::Luma([(100 * x + 50 * y) as u8]))
            .save(path)
            .expect("writable");
    }
    let data = source("").load(folder.path()).expect("valid");
    assert_eq!(pixels(&data)[..4], [0, 100, 50, 150]);
    let data = source("channels = \"colour\"").load(folder.path()).expect("valid");
    assert_eq!(pixels(&data)[..12], [0, 100, 50, 150, 0, 100, 50, 150, 0, 100, 50, 150]);
}

#[test]
fn resizing_is_that_of_pillow() {
    let fixture: serde_json::Value =
        serde_json::from_str(include_str!("../../../../tests/fixtures/augment.json")).expect("JSON");
    let folder = tempfile::tempdir().expect("a folder");
    for case in crate::fixture::cases(&serde_json::json!({ "cases": fixture["resized"] })) {
        let bytes = |key: &str| -> Vec<u8> {
            crate::fixture::doubles(&case[key]).into_iter().map(|pixel| pixel as u8).collect()
        };
        let (size, to) = (crate::fixture::sizes(&case["size"]), crate::fixture::sizes(&case["to"]));
        let path = folder.path().join("picture.png");
        let colour = if size[2] == 1 { image::ExtendedColorType::L8 } else { image::ExtendedColorType::Rgb8 };
        image::save_buffer(&path, &bytes("pixels"), size[1] as u32, size[0] as u32, colour)
            .expect("writable");
        let form = Form { channels: size[2], height: to[0], width: to[1], resize: true };
        let mut found = vec![0; form.size()];
        decode(&path, form, &mut found).expect("a picture");
        let off = found.iter().zip(bytes("expected")).map(|(a, b)| a.abs_diff(b)).max().expect("pixels");
        // Pillow rounds between the two directions, this does not.
        assert!(off <= 1, "{off} of 255 off");
    }
}

#[test]
fn new_pictures_are_read_in_the_form_of_training() {
    let folder = folder();
    let data = source("size = 3").load(folder.path()).expect("valid");
    let preprocessor = Preprocessor::fit(&data, &[0, 1, 2, 3], &TransformConfig::default()).expect("valid");
    let stored = serde_json::to_string(&preprocessor).expect("serialisable");
    let preprocessor: Preprocessor = serde_json::from_str(&stored).expect("what was written");
    let new = preprocessor.read_image_folder(&folder.path().join("test")).expect("valid");
    assert_eq!(new.files, ["ant/8.jpeg", "cat/9.png"].map(|name| folder.path().join("test").join(name)));
    let Targets::Classes { labels, .. } = new.targets.expect("known classes").expect("class folders") else {
        panic!("classes")
    };
    assert_eq!(labels, [0, 1]);
    let encode = |inputs: &Inputs, rows: &[usize]| {
        let mut out = Vec::new();
        preprocessor.encode(inputs, rows, &mut out).expect("readable");
        out
    };
    assert_eq!(encode(&new.inputs, &[0, 1]), encode(&data.inputs, &[4, 5]));

    let flat = preprocessor.read_image_folder(&folder.path().join("train/cat")).expect("valid");
    assert!(matches!(flat.targets, Ok(None)));
    assert_eq!(encode(&flat.inputs, &[0, 1]), encode(&data.inputs, &[2, 3]));
    save(folder.path(), "test/dog/1.png", 1);
    let new = preprocessor.read_image_folder(&folder.path().join("test")).expect("readable");
    let error = new.targets.expect_err("an unknown class").to_string();
    assert!(
        error.ends_with("the folders `dog` are named for none of the trained classes: `ant`, `cat`"),
        "{error}"
    );
    fs::write(folder.path().join("test/dog/2.png"), "text").expect("writable");
    let error = preprocessor.read_image_folder(&folder.path().join("test")).expect_err("text").to_string();
    assert!(error.contains("1 file cannot be used; mend or remove them:\n"), "{error}");
}
