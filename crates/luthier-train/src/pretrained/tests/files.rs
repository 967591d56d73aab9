//! State dicts: read, compared with a model, broken.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::network;
use crate::model::{Network, Weights};
use crate::pretrained::{PretrainedError, StateDict};
use crate::shape::Shape;
use crate::weights_file::to_bytes;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// 0.weight [2, 3], 0.bias [2], 1.weight [outputs, 2], 1.bias [outputs].
fn small(outputs: usize) -> Network {
    network("{ dense = 2 }", Shape::Flat(3), outputs)
}

fn tensor(name: &str, shape: &[usize]) -> Weights {
    let count = shape.iter().product::<usize>();
    let values = (0..count).map(|i| i as f32 + name.len() as f32).collect();
    Weights { name: name.to_owned(), shape: shape.to_vec(), values }
}

/// A safetensors file of these tensors; the folder has to be kept as long as the file.
fn write(tensors: &[Weights]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.safetensors");
    std::fs::write(&path, to_bytes(tensors, &[], HashMap::new()).expect("a file"))
        .expect("a writable folder");
    (folder, path)
}

fn load(tensors: &[Weights], network: Network, new_head: bool) -> Result<Network, PretrainedError> {
    let (_folder, path) = write(tensors);
    StateDict::open(&path).expect("a state dict").load_into(network, new_head)
}

/// The message without the path, which is another in each run.
fn problem(result: Result<Network, PretrainedError>) -> String {
    match result {
        Err(PretrainedError::Mismatch { problem, .. }) => problem,
        other => panic!("expected a mismatch, found {other:?}"),
    }
}

#[test]
fn files_of_every_version_of_pytorch_hold_the_same() {
    for name in ["state_zip.pth", "state_legacy.pth"] {
        let state = StateDict::open(&fixture(name)).expect("a state dict");
        let expected = [
            Weights { name: "0.bias".into(), shape: vec![2], values: vec![1.0, -2.0] },
            Weights {
                name: "0.weight".into(),
                shape: vec![2, 3],
                values: vec![-0.5, -0.25, 0.0, 0.25, 0.5, 0.75],
            },
        ];
        assert_eq!(state.tensors(), expected, "{name}");
    }
}

#[test]
fn a_checkpoint_of_several_formats_loads_by_the_names_of_its_state_dict() {
    let state = StateDict::open(&fixture("state_checkpoint.pt")).expect("a state dict");
    let loaded = state.load_into(small(1), false).expect("weights that fit").weights();
    let expected: [(&str, &[f32]); 4] = [
        ("0.weight", &[-0.5, -0.25, 0.0, 0.25, 0.5, 0.75]),
        ("0.bias", &[1.0, -2.0]),
        ("1.weight", &[0.5, 0.25]),
        ("1.bias", &[4.0]),
    ];
    assert_eq!(loaded.len(), expected.len());
    for (weights, (name, values)) in loaded.iter().zip(expected) {
        assert_eq!((weights.name.as_str(), &weights.values[..]), (name, values));
    }
}

#[test]
fn a_file_of_our_own_gives_a_model_of_layers_its_weights() {
    let weights = small(4).weights();
    let other = network("{ dense = 2 }", Shape::Flat(3), 4);
    let zeros: Vec<Weights> = weights
        .iter()
        .map(|weights| Weights { values: vec![0.0; weights.values.len()], ..weights.clone() })
        .collect();
    let other = other.with_weights(&zeros).expect("zeros");
    let loaded = load(&weights, other, false).expect("weights that fit");
    assert_eq!(loaded.weights(), weights);
}

#[test]
fn all_that_does_not_fit_is_told_at_once() {
    let tensors =
        [tensor("0.weight", &[3, 2]), tensor("1.weight", &[1, 2]), tensor("2.bias", &[1]), tensor("x", &[2])];
    let message = problem(load(&tensors, small(1), false));
    assert_eq!(
        message,
        "missing in the file: 0.bias, 1.bias; of another shape: 0.weight (found [3, 2], expected [2, 3]); \
         without a place in the model: 2.bias, x"
    );
}

#[test]
fn a_new_head_leaves_out_the_output_layer_and_nothing_else() {
    let tensors = [
        tensor("0.weight", &[2, 3]),
        tensor("0.bias", &[2]),
        tensor("1.weight", &[10, 2]),
        tensor("1.bias", &[10]),
        tensor("0.num_batches_tracked", &[]),
    ];
    let message = problem(load(&tensors, small(4), false));
    assert_eq!(
        message,
        "of another shape: 1.weight (found [10, 2], expected [4, 2]), 1.bias (found [10], expected [4]); \
         only the output layer differs: write `new_head = true` to begin with a new one"
    );
    let before = small(4).weights();
    let after = load(&tensors, small(4), true).expect("weights that fit").weights();
    assert_eq!(after[0].values, tensors[0].values);
    assert_eq!(after[1].values, tensors[1].values);
    assert_eq!(after[2..], before[2..]);
    // The same for a file that has none.
    let after = load(&tensors[..2], small(4), true).expect("weights that fit").weights();
    assert_eq!(after[2..], before[2..]);
    // A base that does not fit is still told.
    let message = problem(load(&tensors[1..], small(4), true));
    assert_eq!(message, "missing in the file: 0.weight");
}

#[test]
fn files_that_are_cut_off_or_of_another_kind_are_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("broken");
    let (_own, own) = write(&small(1).weights());
    let zip = std::fs::read(fixture("state_zip.pth")).expect("a fixture");
    let legacy = std::fs::read(fixture("state_legacy.pth")).expect("a fixture");
    let safetensors = std::fs::read(own).expect("a file");
    let cases: [(&[u8], &str); 8] = [
        (&zip[..zip.len() - 100], "this PyTorch file is cut off or damaged"),
        (&zip[..zip.len() / 2], "this PyTorch file is cut off or damaged"),
        (&legacy[..legacy.len() - 3], "this PyTorch file is cut off or damaged"),
        (&legacy[..100], "this PyTorch file is cut off or damaged"),
        (&safetensors[..safetensors.len() - 1], "this safetensors file is cut off or damaged"),
        (&safetensors[..40], "this safetensors file is cut off or damaged"),
        (b"<html>please log in</html>", "with a state dict, found neither"),
        (b"", "with a state dict, found an empty file"),
    ];
    for (bytes, expected) in cases {
        std::fs::write(&path, bytes).expect("a writable folder");
        let error = StateDict::open(&path).expect_err("a broken file").to_string();
        assert!(error.contains(expected) && error.contains("broken: "), "{error}");
    }
    let error = StateDict::open(&folder.path().join("nothing.pth")).expect_err("no file").to_string();
    assert!(error.starts_with("cannot read ") && error.contains("nothing.pth"), "{error}");
}

#[test]
fn a_file_that_is_damaged_within_names_the_tensor() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("damaged.pth");
    let mut bytes = std::fs::read(fixture("state_zip.pth")).expect("a fixture");
    // The bytes of 1.0 and -2.0.
    let place = bytes.windows(8).position(|window| window == [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]);
    bytes[place.expect("the bias")] ^= 1;
    std::fs::write(&path, bytes).expect("a writable folder");
    let error = StateDict::open(&path).expect_err("a damaged file").to_string();
    assert!(error.contains("0.bias") && error.contains("cut off or damaged"), "{error}");
}
