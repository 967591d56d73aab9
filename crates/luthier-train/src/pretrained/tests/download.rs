//! The download of torchvision's files, from a server on this machine.

use std::cell::RefCell;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::data::download::{Contents, RemoteFile};
use crate::pretrained::imagenet::{self, Origin};
use crate::pretrained::{PretrainedError, WeightsSource};

const CONTENTS: &[u8] = b"weights";

fn file() -> RemoteFile {
    let hash =
        Sha256::digest(CONTENTS).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    let digits = hash[..8].to_owned();
    RemoteFile { name: format!("vgg99-{digits}.pth"), contents: Contents::Plain(digits) }
}

fn origin(base: String, cache: &Path) -> Origin {
    Origin {
        agent: ureq::Agent::config_builder().proxy(None).build().into(),
        base,
        places: vec![cache.to_path_buf()],
        cache: Some(cache.to_path_buf()),
    }
}

/// Serves `body` to one request; returns the address.
fn serve(body: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let base = format!("http://{}/models/", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a request");
        let (mut request, mut buffer) = (Vec::<u8>::new(), [0; 1024]);
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            let count = stream.read(&mut buffer).expect("a request");
            request.extend(&buffer[..count]);
        }
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).expect("an open connection");
        stream.write_all(body).expect("an open connection");
    });
    base
}

/// An address at which nothing listens.
fn refused() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}/models/", listener.local_addr().expect("an address"))
}

#[test]
fn a_file_is_fetched_once_checked_and_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("weights");
    let told = RefCell::new(Vec::new());
    let progress = |name: &str, done: u64, total: Option<u64>| {
        told.borrow_mut().push((name.to_owned(), done, total));
    };
    let path = imagenet::find(&file(), &origin(serve(CONTENTS), &cache), &progress).expect("a file");
    assert_eq!(fs::read(&path).expect("the file"), CONTENTS);
    assert_eq!(told.borrow().last(), Some(&(file().name, 7, Some(7))));
    // Now it is there, and nothing is asked.
    let again = imagenet::find(&file(), &origin(refused(), &cache), &|_, _, _| {}).expect("a file");
    assert_eq!(again, path);
    assert_eq!(fs::read_dir(&cache).expect("a folder").count(), 1, "a partial file is left over");
}

#[test]
fn without_a_network_the_message_says_where_to_put_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let base = refused();
    let error = imagenet::find(&file(), &origin(base.clone(), folder.path()), &|_, _, _| {})
        .expect_err("no network")
        .to_string();
    let name = file().name;
    assert!(error.starts_with(&format!("cannot download {name}: {base}{name}: ")), "{error}");
    let advice = format!("get the files {name} by hand and put them into {}", folder.path().display());
    assert!(error.ends_with(&advice), "{error}");
}

#[test]
fn a_file_with_another_hash_is_not_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = imagenet::find(&file(), &origin(serve(b"something else"), folder.path()), &|_, _, _| {})
        .expect_err("another file")
        .to_string();
    assert!(error.contains("wrong contents: expected SHA-256"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    // Nor one that was put there by hand.
    fs::write(folder.path().join(file().name), b"cut o").expect("a writable folder");
    let error = imagenet::find(&file(), &origin(refused(), folder.path()), &|_, _, _| {})
        .expect_err("another file")
        .to_string();
    assert!(
        error.contains(&format!("{}: wrong contents", folder.path().join(file().name).display())),
        "{error}"
    );
}

#[test]
fn models_without_weights_are_told() {
    let open = |model| WeightsSource::ImageNet.open(Path::new("."), model, &|_, _, _| {});
    let Err(PretrainedError::NoFile(message)) = open(Some("mlp")) else { panic!("a message") };
    assert!(message.contains("for mlp; there are for vgg11, vgg11_bn"), "{message}");
    let Err(PretrainedError::NoFile(message)) = open(None) else { panic!("a message") };
    assert!(message.contains("architecture = \"vgg16\""), "{message}");
    let missing = WeightsSource::File("nowhere.pth".into()).open(Path::new("/folder"), None, &|_, _, _| {});
    let message = missing.expect_err("no file").to_string();
    assert!(message.contains("/folder/nowhere.pth"), "{message}");
}
