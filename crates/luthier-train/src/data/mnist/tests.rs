//! Tests of finding, reading and fetching MNIST, with small files and a server on this machine.

use std::cell::RefCell;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use sha2::{Digest, Sha256};

use super::super::idx::tests::{gzip, idx};
use super::*;

const NO_PROGRESS: Progress<'static> = &|_, _, _| {};

/// The four files: 3 training images and 2 test images of 2 x 2 pixels.
fn contents() -> [Vec<u8>; 4] {
    [
        idx(2051, &[3, 2, 2], &[1; 12]),
        idx(2049, &[3], &[0, 1, 2]),
        idx(2051, &[2, 2, 2], &[2; 8]),
        idx(2049, &[2], &[3, 4]),
    ]
}

fn origin(bases: Vec<String>) -> Origin {
    let contents = contents();
    let mut i = 0;
    let files = FILES.map(|(name, _)| {
        let hash = Sha256::digest(&contents[i])
            .iter()
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        i += 1;
        RemoteFile { name: format!("{name}.gz"), contents: Contents::Gzip(hash) }
    });
    Origin { agent: ureq::Agent::config_builder().proxy(None).build().into(), bases, files }
}

/// Serves `files` under `/data/` to as many requests as there are files; returns the address.
fn serve(files: Vec<(String, Vec<u8>)>, requests: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let base = format!("http://{}/data/", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for _ in 0..requests {
            let (mut stream, _) = listener.accept().expect("a request");
            let mut request = Vec::new();
            let mut buffer = [0; 1024];
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                let count = stream.read(&mut buffer).expect("a request");
                request.extend(&buffer[..count]);
            }
            let line = String::from_utf8_lossy(&request);
            let name = line.split(' ').nth(1).unwrap_or_default().trim_start_matches("/data/").to_owned();
            let found = files.iter().find(|(file, _)| *file == name);
            let (status, body) = found.map_or(("404 Not Found", &b""[..]), |(_, body)| ("200 OK", body));
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).expect("an open connection");
            stream.write_all(body).expect("an open connection");
        }
    });
    base
}

fn packed() -> Vec<(String, Vec<u8>)> {
    FILES.iter().zip(contents()).map(|((name, _), bytes)| (format!("{name}.gz"), gzip(&bytes))).collect()
}

/// An address at which nothing listens.
fn refused() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}/", listener.local_addr().expect("an address"))
}

fn check(data: &Dataset) {
    assert_eq!((data.len(), data.given_test), (5, Some(2)));
    let Targets::Classes { labels, names, .. } = &data.targets else { panic!("classes") };
    assert_eq!((labels.as_slice(), names.len()), (&[0, 1, 2, 3, 4][..], 10));
    let Inputs::Images(images) = &data.inputs else { panic!("images") };
    let mut pixels = [0; 4];
    images.read(2, &mut pixels).expect("in memory");
    assert_eq!(pixels, [1; 4]);
    images.read(3, &mut pixels).expect("in memory");
    assert_eq!(pixels, [2; 4]);
}

#[test]
fn a_folder_with_all_files_is_used_and_nothing_is_fetched() {
    let folder = tempfile::tempdir().expect("a folder");
    let empty = tempfile::tempdir().expect("a folder");
    for (i, (name, bytes)) in packed().into_iter().enumerate() {
        // Packed under its name, and unpacked with a dot.
        match i {
            0 => fs::write(folder.path().join("train-images.idx3-ubyte"), &contents()[0]),
            _ => fs::write(folder.path().join(name), bytes),
        }
        .expect("a writable folder");
    }
    let places = [empty.path().to_path_buf(), folder.path().to_path_buf()];
    check(&load_from(&places, None, &origin(vec![]), NO_PROGRESS).expect("files"));
}

#[test]
fn missing_files_are_fetched_once_from_the_first_address_that_has_them() {
    let cache = tempfile::tempdir().expect("a folder");
    let folder = cache.path().join("luthier").join("mnist");
    let base = serve(packed(), 4);
    let told = RefCell::new(Vec::new());
    let progress =
        |name: &str, done: u64, total: Option<u64>| told.borrow_mut().push((name.to_owned(), done, total));
    let places = [folder.clone()];
    check(&load_from(&places, Some(&folder), &origin(vec![refused(), base]), &progress).expect("files"));
    let size = packed()[0].1.len() as u64;
    assert!(told.borrow().contains(&("train-images-idx3-ubyte.gz".into(), size, Some(size))), "{told:?}");
    // Now they are there.
    check(&load_from(&places, Some(&folder), &origin(vec![]), NO_PROGRESS).expect("files"));
    assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 4, "a partial file is left over");
}

#[test]
fn a_wrong_file_and_a_refused_connection_are_reported_with_what_to_do() {
    let cache = tempfile::tempdir().expect("a folder");
    let mut wrong = packed();
    wrong[0].1 = gzip(b"something else");
    let html = vec![("train-images-idx3-ubyte.gz".to_owned(), b"<html>please log in</html>".to_vec())];
    let bases = vec![serve(wrong, 1), serve(html, 1), serve(vec![], 1), refused()];
    let places = [cache.path().to_path_buf()];
    let error =
        load_from(&places, Some(cache.path()), &origin(bases.clone()), NO_PROGRESS).expect_err("no file");
    let text = error.to_string();
    for base in &bases {
        assert!(text.contains(&format!("{base}train-images-idx3-ubyte.gz: ")), "{text}");
    }
    let reasons = ["wrong contents: expected SHA-256", "not the gzip file", "404", "refused"];
    for expected in reasons.iter().chain(FILES.iter().map(|(name, _)| name)) {
        assert!(text.contains(expected), "`{expected}` is not in: {text}");
    }
    assert!(text.contains(&cache.path().display().to_string()), "{text}");
    assert_eq!(fs::read_dir(cache.path()).expect("a folder").count(), 0, "a partial file is left over");
}

#[test]
fn as_many_labels_as_images() {
    let folder = tempfile::tempdir().expect("a folder");
    for ((name, bytes), i) in packed().into_iter().zip(0..) {
        let bytes = if i == 3 { idx(2049, &[3], &[3, 4, 5]) } else { bytes };
        fs::write(folder.path().join(name), bytes).expect("a writable folder");
    }
    let error =
        load_from(&[folder.path().into()], None, &origin(vec![]), NO_PROGRESS).expect_err("a mismatch");
    assert!(error.to_string().contains("expected 2 labels, one for each image in"), "{error}");
}
