//! Word vectors: formats, the vocabulary, broken lines.

use std::path::PathBuf;

use crate::pretrained::WordVectors;

const WORDS: [(&str, usize); 4] = [("good", 2), ("film", 3), (". .", 4), ("nowhere", 5)];

fn write(text: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vectors.txt");
    std::fs::write(&path, text).expect("a writable folder");
    (folder, path)
}

#[test]
fn the_words_of_the_vocabulary_get_their_vectors() {
    let glove = "the 9 9\ngood 1 -2.5\r\nfilm 3e-1 4\n. . 5 6\ngood 7 7\n";
    let word2vec = format!("5 2\n{}", glove.replace('\r', ""));
    for text in [glove, &word2vec] {
        let (_folder, path) = write(text.as_bytes());
        let vectors = WordVectors::open(&path, WORDS).expect("vectors");
        assert_eq!((vectors.size(), vectors.len(), vectors.is_empty()), (2, 3, false));
        let mut matrix = [0.5; 12];
        vectors.fill(&mut matrix);
        assert_eq!(matrix, [0.5, 0.5, 0.5, 0.5, 1.0, -2.5, 0.3, 4.0, 5.0, 6.0, 0.5, 0.5]);
    }
}

#[test]
fn other_lines_need_not_be_text_but_have_to_be_of_the_same_length() {
    let (_folder, path) = write(b"caf\xe9 1 2\ngood 3 4\n");
    assert_eq!(WordVectors::open(&path, WORDS).expect("vectors").len(), 1);
    for (text, expected) in [
        (&b"the 1 2\nshort 1\n"[..], "line 2: expected a word and 2 numbers, found 2 fields in \"short 1\""),
        (
            b"the 1 2\nlong 1 2 3\n",
            "line 2: expected a word and 2 numbers, found 3 numbers in \"long 1 2 3\"",
        ),
        (b"2 2\nthe 1 2\n\ngood 1 x\n", "line 4: expected 2 numbers behind \"good\", found \"x\""),
        (b"good 1 inf\n", "line 1: expected 2 numbers behind \"good\", found \"inf\""),
        (b"word\n", "line 1: expected a word and 1 numbers, found 1 fields"),
        (b"the 1 2\n", "it has no vector for any of the 4 words"),
        (b"", "it has no vector for any of the 4 words"),
    ] {
        let (_folder, path) = write(text);
        let error = WordVectors::open(&path, WORDS).expect_err("a broken file").to_string();
        assert!(error.contains(expected), "{error}");
    }
}
