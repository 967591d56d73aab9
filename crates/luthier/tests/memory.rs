//! Data that is larger than the memory which the process may have: it streams from disk.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot set up its files has failed")]

mod common;

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::process::{Command, Output};

use common::{Sandbox, text};

/// What the process may have, in KiB.
const LIMIT: usize = 100_000;
const SIDE: usize = 64;
/// Images of four times as much.
const IMAGES: usize = (4 * LIMIT * 1024).div_ceil(SIDE * SIDE);

const FILE: &str = r#"
[study]
name = "large"

[data]
source = { array = "x.npy", targets = "y.npy"MEMORY }

[model]
layers = [{ max_pool = 16 }, { dense = 4, activation = "relu" }]

[train]
epochs = 1
batch_size = 256
optimizer = { kind = "adam", learning_rate = 0.01 }
"#;

fn header(shape: &str) -> Vec<u8> {
    let text = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((text.len() as u16).to_le_bytes());
    header.extend(text.into_bytes());
    header
}

/// Every other image has a white stripe, and that is its class. All else is a hole in the file.
fn write_images(sandbox: &Sandbox) {
    let mut images = File::create(sandbox.path("x.npy")).unwrap();
    let header_of_images = header(&format!("{IMAGES}, {SIDE}, {SIDE}"));
    images.write_all(&header_of_images).unwrap();
    let start = header_of_images.len() as u64;
    images.set_len(start + (IMAGES * SIDE * SIDE) as u64).unwrap();
    for i in (0..IMAGES).step_by(2) {
        images.write_all_at(&[255; 4 * SIDE], start + (i * SIDE * SIDE) as u64).unwrap();
    }
    let labels = (0..IMAGES).map(|i| (i % 2) as u8);
    sandbox.write("y.npy", header(&format!("{IMAGES},")).into_iter().chain(labels).collect::<Vec<u8>>());
}

/// Runs the program with at most [`LIMIT`] of address space.
fn limited(sandbox: &Sandbox, args: &str) -> Output {
    let program = env!("CARGO_BIN_EXE_luthier");
    let script = format!("ulimit -v {LIMIT} && exec '{program}' {args}");
    Command::new("sh").args(["-c", &script]).current_dir(sandbox.folder()).output().unwrap()
}

#[test]
fn a_source_four_times_larger_than_the_memory_trains() {
    let sandbox = Sandbox::new();
    write_images(&sandbox);
    sandbox.write("large.toml", FILE.replace("MEMORY", ""));
    let output = limited(&sandbox, "train large.toml --test --json");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["test"]["accuracy"], 1.0, "{result}");

    // The limit is one: what is to be held in memory does not fit, and that is said.
    sandbox.write("near.toml", FILE.replace("MEMORY", ", memory = \"1GB\""));
    let output = limited(&sandbox, "train near.toml");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("x.npy") && said.contains("memory"), "{said}");
}
