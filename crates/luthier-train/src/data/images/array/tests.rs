//! Tests of reading NumPy arrays, those that NumPy wrote (`scripts/train/augment_fixtures.py`) and those that
//! are wrong.

use std::path::PathBuf;

use luthier_core::config::Kind;
use serde_json::Value;

use super::*;
use crate::fixture::{doubles, singles};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/arrays")
}

fn fixture() -> Value {
    let fixture: Value =
        serde_json::from_str(include_str!("../../../../tests/fixtures/augment.json")).expect("JSON");
    fixture["arrays"].clone()
}

fn source(settings: &str) -> ArraySource {
    let node = Node::parse(&format!("source = {{ {settings} }}"), "test").expect("TOML");
    assert!(matches!(node.kind, Kind::Table(_)));
    let mut problems = Problems::new("test");
    ArraySource::decode(node.get("source").expect("a source"), "", &mut problems)
        .unwrap_or_else(|| panic!("{problems}"))
}

fn load(settings: &str) -> Dataset {
    source(settings).load(&folder()).unwrap_or_else(|error| panic!("{settings}: {error}"))
}

fn pixels(data: &Dataset) -> Vec<u8> {
    let Inputs::Images(images) = &data.inputs else { panic!("images") };
    let mut pixels = Vec::new();
    let rows: Vec<usize> = (0..images.len()).collect();
    images.for_each(&rows, |image| pixels.extend_from_slice(image)).expect("readable");
    pixels
}

/// An array as NumPy would write it.
fn npy(dtype: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(bytes);
    file
}

#[test]
fn images_are_the_same_from_every_kind_of_file() {
    let expected: Vec<u8> = singles(&fixture()["images"]).into_iter().map(|pixel| pixel as u8).collect();
    let labels: Vec<u32> = singles(&fixture()["labels"]).into_iter().map(|label| label as u32).collect();
    for (settings, given_test) in [
        ("array = \"first.npy\", targets = \"labels.npy\", layout = \"channels_first\"", None),
        ("array = \"last.npy\", targets = \"labels.npy\", layout = \"channels_last\"", None),
        ("array = \"stored.npz\", layout = \"channels_last\"", Some(1)),
        ("array = \"packed.npz\", layout = \"channels_last\"", None),
        (
            "array = \"packed.npz\", layout = \"channels_last\", inputs = \"x\", targets = \"labels.npy\"",
            None,
        ),
        (
            "array = \"packed.npz\", layout = \"channels_last\", test_inputs = \"last.npy\", test_targets = \"labels.npy\"",
            Some(5),
        ),
    ] {
        let data = load(settings);
        assert_eq!(data.given_test, given_test, "{settings}");
        assert_eq!(pixels(&data)[..expected.len()], expected, "{settings}");
        let Targets::Classes { labels: found, names, .. } = &data.targets else { panic!("classes") };
        assert_eq!((&found[..5], names.len()), (labels.as_slice(), 3), "{settings}");
        if !settings.contains("packed") {
            let far = load(&format!("memory = 0, {settings}"));
            assert!(matches!(&far.inputs, Inputs::Images(images) if !images.in_memory()));
            assert_eq!(pixels(&far), pixels(&data), "{settings}");
            assert_eq!(far.fingerprint().expect("readable"), data.fingerprint().expect("readable"));
        }
    }
    let error = source("array = \"packed.npz\", layout = \"channels_last\", memory = 0").load(&folder());
    let error = error.expect_err("packed").to_string();
    assert!(error.contains("a packed array cannot be read from disk piece by piece"), "{error}");
}

#[test]
fn tables_are_the_same_in_every_order_and_precision() {
    let expected = doubles(&fixture()["table"]);
    for (file, tolerance) in
        [("table_f32.npy", 1e-6), ("table_fortran.npy", 0.0), ("table_big_endian.npy", 0.0)]
    {
        let data = load(&format!("array = \"{file}\", targets = \"labels.npy\""));
        let Inputs::Table(table) = &data.inputs else { panic!("a table") };
        assert_eq!((table.rows, table.columns.len(), table.columns[2].name.as_str()), (5, 3, "x2"));
        for (i, column) in table.columns.iter().enumerate() {
            let ColumnValues::Numeric(values) = &column.values else { panic!("numbers") };
            for (row, value) in values.iter().enumerate() {
                assert!((value - expected[row * 3 + i]).abs() <= tolerance, "{file}: {value}");
            }
        }
    }
}

#[test]
fn targets_are_classes_or_numbers() {
    let targets = |settings: &str| load(&format!("array = \"table_f32.npy\", {settings}")).targets;
    assert!(
        matches!(targets("targets = \"numbers.npy\""), Targets::Numbers { values, .. } if values.len() == 5)
    );
    let regression = targets("targets = \"labels.npy\", task = \"regression\"");
    assert!(matches!(regression, Targets::Numbers { values, .. } if values == [0.0, 1.0, 2.0, 1.0, 0.0]));
    let known = targets("targets = \"labels.npy\", classes = 5");
    assert!(matches!(known, Targets::Classes { names, .. } if names == ["0", "1", "2", "3", "4"]));
}

#[test]
fn arrays_that_cannot_be_used_are_explained() {
    let here = tempfile::tempdir().expect("a folder");
    let write = |name: &str, bytes: &[u8]| std::fs::write(here.path().join(name), bytes).expect("writable");
    let bytes = |values: &[i64]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    write("x.npy", &npy("|u1", "2, 2, 2", &[0; 8]));
    write("wide.npy", &npy("|u1", "2, 3, 2, 3", &[0; 36]));
    write("cut.npy", &npy("|u1", "3, 2, 2", &[0; 8]));
    write("float.npy", &npy("<f4", "2, 2, 2", &[0; 32]));
    write("text.npy", &npy("<U3", "2,", &[0; 24]));
    write("huge.npy", &npy("<f8", "4294967296, 4294967296, 16", &[]));
    write("infinite.npy", &npy("<f8", "2, 1", &[0_f64, f64::INFINITY].map(f64::to_le_bytes).concat()));
    write("two.npy", &npy("<i8", "2,", &bytes(&[0, 1])));
    write("three.npy", &npy("<i8", "3,", &bytes(&[0, 1, 1])));
    write("seven.npy", &npy("<i8", "2,", &bytes(&[1, 7])));
    write("one_hot.npy", &npy("<i8", "2, 2", &bytes(&[0, 1, 1, 0])));
    write("same.npy", &npy("<i8", "2,", &bytes(&[1, 1])));
    write("x.csv", b"a,b\n1,2\n");
    write("half.npy", b"\x93NUMPY\x01\x00\x80");
    write("half.npz", &std::fs::read(folder().join("stored.npz")).expect("readable")[..600]);
    let mut damaged = std::fs::read(folder().join("packed.npz")).expect("readable");
    damaged[200] ^= 0x55;
    write("damaged.npz", &damaged);
    std::fs::copy(folder().join("packed.npz"), here.path().join("packed.npz")).expect("writable");
    for (settings, expected) in [
        (
            "array = \"x.npy\", targets = \"three.npy\"",
            "three.npy: expected 2 targets, one for each row of HERE/x.npy, found 3",
        ),
        (
            "array = \"x.npy\", targets = \"one_hot.npy\"",
            "expected one target a row, found 2; of one-hot rows take",
        ),
        ("array = \"x.npy\", targets = \"same.npy\"", "the target is `1` in every row"),
        (
            "array = \"x.npy\", targets = \"seven.npy\", classes = 5",
            "expected labels from 0 to 4, the label of row 1 is 7",
        ),
        ("array = \"x.npy\", targets = \"text.npy\"", "found the type `<U3`"),
        ("array = \"x.npy\"", "`targets` is missing"),
        (
            "array = \"x.npy\", targets = \"two.npy\", inputs = \"x\"",
            "`inputs` names `x`, but `array` is no archive",
        ),
        (
            "array = \"wide.npy\", targets = \"two.npy\"",
            "the shape [2, 3, 2, 3] does not tell where the channels are",
        ),
        (
            "array = \"cut.npy\", targets = \"three.npy\"",
            "expected 12 bytes for an array of the shape [3, 2, 2] and the type uint8, found 8; the file is cut off",
        ),
        ("array = \"float.npy\", targets = \"two.npy\"", "expected images of the type uint8, found float32"),
        ("array = \"huge.npy\", targets = \"two.npy\"", "cannot be true"),
        ("array = \"infinite.npy\", targets = \"two.npy\"", "row 1 has inf in column 0"),
        (
            "array = \"x.csv\", targets = \"two.npy\"",
            "expected a NumPy array, whose file begins with \\x93NUMPY",
        ),
        ("array = \"half.npy\", targets = \"two.npy\"", "the file ends within the header"),
        ("array = \"half.npz\"", "found no whole ZIP archive"),
        ("array = \"damaged.npz\", layout = \"channels_last\"", "in the archive is damaged; get it anew"),
        ("array = \"packed.npz\", inputs = \"z\"", "expected an array named `z` (`inputs`), found `x`, `y`"),
        (
            "array = \"x.npy\", targets = \"two.npy\", test_inputs = \"x.npy\", test_targets = \"seven.npy\"",
            "seven.npy: expected the classes of training, which are `0`, `1`, the label of row 1 is 7",
        ),
        ("array = \"x.npy\", targets = \"two.npy\", test_inputs = \"x.npy\"", "`test_targets` is missing"),
        ("array = \"none.npy\", targets = \"two.npy\"", "there is no file"),
    ] {
        let error = source(settings).load(here.path()).expect_err(settings).to_string();
        let error = error.replace(&here.path().display().to_string(), "HERE");
        assert!(error.contains(expected), "{settings}: {error}");
    }
}

#[test]
fn an_array_that_is_cut_off_later_is_an_error() {
    let here = tempfile::tempdir().expect("a folder");
    let path = here.path().join("x.npy");
    std::fs::write(&path, npy("|u1", "4, 2, 2", &[7; 16])).expect("writable");
    std::fs::write(here.path().join("y.npy"), npy("|u1", "4,", &[0, 1, 0, 1])).expect("writable");
    let data = source("array = \"x.npy\", targets = \"y.npy\", memory = 0").load(here.path()).expect("valid");
    let file = std::fs::OpenOptions::new().write(true).open(&path).expect("writable");
    file.set_len(file.metadata().expect("a file").len() - 6).expect("writable");
    let Inputs::Images(images) = &data.inputs else { panic!("images") };
    let mut image = [0; 4];
    images.read(1, &mut image).expect("there still");
    assert_eq!(image, [7; 4]);
    let error = images.read(3, &mut image).expect_err("gone").to_string();
    assert!(error.ends_with("image 3 of 4 is gone: the file was cut off after it was opened"), "{error}");
}
