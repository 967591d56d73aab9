//! Tests of texts: words, tables, folders, and what can be wrong with them.

use std::fs;

use luthier_core::config::{Decode, Node, Problems};

use super::super::{
    DataError, Dataset, Flag, Inputs, Preprocessor, Source, SplitConfig, Targets, TestSplit, TransformConfig,
};
use super::*;
use crate::shape::Shape;

/// Loads `source`, written as in a study file, from a folder with these files.
fn load(files: &[(&str, &[u8])], source: &str, split: &str) -> Result<Dataset, DataError> {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, contents) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("writable");
        fs::write(path, contents).expect("writable");
    }
    let node = Node::parse(&format!("source = {source}\nsplit = {{ {split} }}"), "test").expect("TOML");
    let mut problems = Problems::new("test");
    let source = Source::decode(node.get("source").expect("there"), "source", &mut problems);
    let split = SplitConfig::decode(node.get("split").expect("there"), "split", &mut problems);
    let source = source.unwrap_or_else(|| panic!("{problems}"));
    source.load_for(&split.expect("a split"), folder.path(), &|_, _, _| {})
}

const REVIEWS: &[u8] = b"label,text,id\n\
    good,\"Great film, great cast!\",1\n\
    bad,dull,2\n\
    good,\"It's a great, GREAT film\",3\n\
    bad,?,4\n";

fn texts(data: &Dataset) -> &[String] {
    let Inputs::Text(texts) = &data.inputs else { panic!("texts") };
    &texts.texts
}

fn labels(data: &Dataset) -> (&[u32], &[String]) {
    let Targets::Classes { labels, names, .. } = &data.targets else { panic!("classes") };
    (labels, names)
}

#[test]
fn words_are_numbered_by_frequency() {
    let vocabulary = Vocabulary::fit(["b B b a'a a'a, c–d D", "ÜBER d"].into_iter(), 4, 1);
    assert_eq!(vocabulary.words(), ["b", "d", "a'a", "c"], "ties are in the order of letters");
    assert_eq!(vocabulary.tokens(), 6);
    let encode = |text: &str, length| {
        let mut out = vec![9.0];
        vocabulary.encode(text, length, &mut out);
        out[1..].to_vec()
    };
    assert_eq!(encode("D! über, B", 5), [3.0, 1.0, 2.0, 0.0, 0.0]);
    assert_eq!(encode("b d b d", 3), [2.0, 3.0, 2.0], "the first words are kept");
    assert_eq!(encode(" -- ", 3), [1.0, 0.0, 0.0], "no text is padding alone");
    assert_eq!(vocabulary.count("b x. y"), (3, 2));
}

#[test]
fn a_table_of_texts_becomes_tokens() {
    let data = load(&[("r.csv", REVIEWS)], "{ text = \"r.csv\" }", "").expect("valid");
    assert_eq!(texts(&data)[3], "?", "a text may be a question mark");
    assert_eq!(labels(&data).0, [1, 0, 1, 0]);
    assert_eq!(
        data.summary().to_string(),
        "r: 4 rows\ntexts: 0 to 5 words, half of them up to 1\nclasses: bad (2), good (2)"
    );
    let config = TransformConfig { max_words: 3, max_length: 4, ..Default::default() };
    let preprocessor = Preprocessor::fit(&data, &[0, 1], &config).expect("valid");
    // `It's` is in no training text.
    assert_eq!(preprocessor.input_shape(), Shape::Tokens { length: 4, vocabulary: 5 });
    let encoded = preprocessor.encode_all(&data.inputs).expect("in memory");
    let (great, cast, dull) = (2.0, 3.0, 4.0);
    assert_eq!(
        encoded,
        [[great, 1.0, great, cast], [dull, 0.0, 0.0, 0.0], [1.0, 1.0, great, great], [1.0, 0.0, 0.0, 0.0],]
            .concat()
    );
    let stored = serde_json::to_string(&preprocessor).expect("serialisable");
    let preprocessor: Preprocessor = serde_json::from_str(&stored).expect("what was written");
    let new = preprocessor
        .read_rows_from("new.csv", "extra,text,label\n1,a great film,good\n2,dull?,bad\n".as_bytes())
        .expect("valid");
    assert_eq!(preprocessor.encode_all(&new.inputs).expect("in memory")[4..], [dull, 0.0, 0.0, 0.0]);
    assert_eq!(new.flags[0].flags, [Flag::UnknownWords { unknown: 2, words: 3 }]);
    assert_eq!(new.flags[0].flags[0].to_string(), "2 of 3 words are not in the vocabulary");
    assert!(new.flags[1].flags.is_empty());
    assert_eq!(new.notices, ["not used: `extra`"]);
    assert!(matches!(new.targets, Ok(Some(Targets::Classes { labels, .. })) if labels == [1, 0]));
    let error =
        preprocessor.read_rows_from("new.csv", "txt\na\n".as_bytes()).expect_err("no text").to_string();
    assert_eq!(
        error,
        "new.csv: there is no column of text `text` (did you mean `txt`?); the columns are `txt`"
    );
}

const FOLDERS: [(&str, &[u8]); 5] = [
    ("d/train/pos/2.txt", "fine \u{e9}t\u{e9}".as_bytes()),
    ("d/train/pos/1.txt", b"\xef\xbb\xbfgood"),
    ("d/train/neg/a.txt", b"bad"),
    ("d/train/neg/notes.md", b"no text"),
    ("d/test/neg/b.TXT", b"worse"),
];

#[test]
fn folders_are_classes_and_may_bring_a_test_set() {
    let data = load(&FOLDERS, "{ text = \"d\" }", "test = \"given\"").expect("valid");
    assert_eq!(texts(&data), ["bad", "good", "fine été", "worse"]);
    assert_eq!(labels(&data), (&[0, 1, 1, 0][..], &["neg".to_owned(), "pos".to_owned()][..]));
    assert_eq!((data.given_test, data.name.as_str()), (Some(1), "d"));
    let data = load(&FOLDERS, "{ text = \"d/train\" }", "test = { text = \"d/test\" }").expect("valid");
    assert_eq!((texts(&data).len(), data.given_test), (4, Some(1)));
    let preprocessor = Preprocessor::fit(&data, &[0, 1, 2], &TransformConfig::default()).expect("valid");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("one.txt");
    fs::write(&path, "good or bad").expect("writable");
    let new = preprocessor.read_rows(&path).expect("a text");
    assert_eq!((new.inputs.len(), new.targets.expect("none")), (1, None));
    fs::create_dir(folder.path().join("pos")).expect("writable");
    fs::rename(&path, folder.path().join("pos/one.txt")).expect("writable");
    let new = preprocessor.read_rows(folder.path()).expect("a class");
    assert!(matches!(new.targets, Ok(Some(Targets::Classes { labels, .. })) if labels == [1]));
    fs::rename(folder.path().join("pos"), folder.path().join("so-so")).expect("writable");
    let error = preprocessor.read_rows(folder.path()).expect_err("another class").to_string();
    assert!(error.ends_with("the folder `so-so` is not one of the trained classes: `neg`, `pos`"), "{error}");
}

#[test]
fn a_test_file_is_read_behind_the_others() {
    let test: &[u8] = b"text,label\nnew one,bad\n";
    let files = [("r.csv", REVIEWS), ("t.csv", test)];
    let error =
        load(&files, "{ text = \"r.csv\" }", "test = { text = \"t.csv\" }").expect_err("no id").to_string();
    assert!(
        error.ends_with("t.csv: the test file lacks the columns `id`; it has `text`, `label`"),
        "{error}"
    );
    let test: &[u8] = b"text,id,label\nnew one,7,bad\nnew two,8,ugly\n";
    let files = [("r.csv", REVIEWS), ("t.csv", test)];
    let data = load(&files, "{ text = \"r.csv\" }", "test = { text = \"t.csv\" }").expect("valid");
    assert_eq!((texts(&data)[4].as_str(), data.given_test), ("new one", Some(2)));
    let config = SplitConfig { validation: 0.5, test: TestSplit::Given, ..Default::default() };
    let error = config.split(&data).expect_err("ugly").to_string();
    assert!(error.contains("the class `ugly` appears only in the test split (1 rows)"), "{error}");
}

#[test]
fn what_is_wrong_with_texts_is_said_with_its_place() {
    let mut broken = FOLDERS.to_vec();
    broken.push(("d/train/pos/3.txt", b"caf\xe9"));
    let mut empty = FOLDERS.to_vec();
    empty.push(("d/train/ugly/notes.md", b"none"));
    let mut beside = FOLDERS.to_vec();
    beside.push(("d/train/all.txt", b"what is this?"));
    let one: [(&str, &[u8]); 1] = [("d/pos/1.txt", b"good")];
    let latin: [(&str, &[u8]); 1] = [("r.csv", b"text,label\nok,a\ncaf\xe9,b\n")];
    let table = [("r.csv", REVIEWS)];
    for (files, source, split, expected) in [
        (
            &broken[..],
            "{ text = \"d\" }",
            "",
            "3.txt: byte 4 is not UTF-8; save the file in the encoding UTF-8",
        ),
        (
            &empty,
            "{ text = \"d\" }",
            "",
            "the classes `ugly` hold no .txt file; fill or remove their folders",
        ),
        (
            &beside,
            "{ text = \"d\" }",
            "",
            "expected a folder for each class, found the text `all.txt` beside them",
        ),
        (&one, "{ text = \"d\" }", "", "for each of at least 2 classes, found `pos`"),
        (&latin, "{ text = \"r.csv\" }", "", "r.csv, line 3: field 1 is not UTF-8"),
        (
            &table,
            "{ text = \"r.csv\", column = \"txet\" }",
            "",
            "there is no column of text `txet` (did you mean `text`?)",
        ),
        (&table, "{ text = \"r.csv\", column = \"label\" }", "", "`column` and `target` are both `label`"),
        (
            &FOLDERS,
            "{ text = \"d\" }",
            "group = \"id\"",
            "divided by the column `id`, but texts in folders have no",
        ),
        (
            &table,
            "{ text = \"r.csv\" }",
            "test = { csv = \"r.csv\" }",
            "does not go with this source, expected text",
        ),
    ] {
        let error = load(files, source, split).expect_err(expected).to_string();
        assert!(error.contains(expected), "expected: {expected}\nfound: {error}");
    }
    let data = load(&table, "{ text = \"r.csv\" }", "").expect("valid");
    let config = TransformConfig { min_count: 50, ..Default::default() };
    let error = Preprocessor::fit(&data, &[0, 1], &config).expect_err("no words").to_string();
    assert!(error.contains("no word comes 50 times in the training texts"), "{error}");
}

#[test]
fn groups_come_from_a_column_of_the_table() {
    let data = load(&[("r.csv", REVIEWS)], "{ text = \"r.csv\" }", "group = \"id\"").expect("valid");
    assert_eq!(data.aside.len(), 1);
    assert_eq!(data.aside[0].name, "id");
}
