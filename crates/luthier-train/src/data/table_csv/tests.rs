//! Tests of tables from text: kinds of columns, missing values, and every error.

use std::fmt::Write as _;
use std::fs;

use super::super::{Source, SplitConfig, TestFile, TestSplit};
use super::*;

fn source(target: &str) -> CsvSource {
    CsvSource {
        csv: "table.csv".into(),
        target: target.into(),
        task: None,
        categorical: vec![],
        drop: vec![],
    }
}

fn load_text(text: impl AsRef<[u8]>, source: &CsvSource) -> Result<Dataset, DataError> {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("table.csv"), text).expect("a writable folder");
    Source::Csv(source.clone()).load(folder.path(), &|_, _, _| {})
}

fn table(data: &Dataset) -> &Table {
    let Inputs::Table(table) = &data.inputs else { panic!("a table") };
    table
}

#[test]
fn numbers_categories_and_missing_values() {
    let text = "size,\"town, or city\",grade,price\n\
                1.5, Bern ,1,10.5\r\n\
                ?,\"Chur \"\"x\"\"\",2.0,11.25\n\
                \n\
                NA,null,2,12\n\
                -3e2,,10,13\n";
    let data =
        load_text(text, &CsvSource { categorical: vec!["grade".into()], ..source("price") }).expect("valid");
    assert_eq!((data.name.as_str(), data.len()), ("table", 4));
    let columns = &table(&data).columns;
    let ColumnValues::Numeric(size) = &columns[0].values else { panic!("numbers") };
    assert_eq!((size[0], size[3]), (1.5, -300.0));
    assert!(size[1].is_nan() && size[2].is_nan());
    assert_eq!(columns[1].name, "town, or city");
    let expected = ColumnValues::Categorical {
        codes: vec![Some(0), Some(1), None, None],
        categories: vec!["Bern".into(), "Chur \"x\"".into()],
    };
    assert_eq!(columns[1].values, expected);
    let expected = ColumnValues::Categorical {
        codes: vec![Some(0), Some(1), Some(1), Some(2)],
        categories: vec!["1".into(), "2".into(), "10".into()],
    };
    assert_eq!(columns[2].values, expected, "numbers are ordered as numbers, and 2.0 is 2");
    assert_eq!(
        data.targets,
        Targets::Numbers { values: vec![10.5, 11.25, 12.0, 13.0], name: "price".into() }
    );
}

#[test]
fn the_task_follows_from_the_target() {
    let load = |target: &str, task| {
        load_text(format!("x,y\n1,{}\n", target.replace(' ', "\n1,")), &CsvSource { task, ..source("y") })
    };
    let task = |target: &str, task| load(target, task).expect("valid").targets.task();
    assert_eq!(task("a b a", None), Task::Classification);
    assert_eq!(task("0 1 1", None), Task::Classification);
    assert_eq!(task("0 1 1.5", None), Task::Regression);
    assert_eq!(task("0 1 1", Some(Task::Regression)), Task::Regression);
    let many = (0..21).map(|i| i.to_string()).collect::<Vec<_>>().join(" ");
    assert_eq!(task(&many, None), Task::Regression);
    let data = load("-0 10 2 0.0", Some(Task::Classification)).expect("valid");
    let names = ["0", "2", "10"].map(String::from).to_vec();
    assert_eq!(data.targets, Targets::Classes { labels: vec![0, 2, 1, 0], names, column: Some("y".into()) });
}

#[test]
fn a_path_is_relative_to_the_study_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = Source::Csv(source("y")).load(folder.path(), &|_, _, _| {}).expect_err("no file").to_string();
    let tried = folder.path().join("table.csv").display().to_string();
    assert!(error.starts_with(&format!("there is no file {tried} or ")), "{error}");
}

#[test]
fn lines_are_counted_through_quotes_blank_lines_and_windows_line_ends() {
    for end in ["\n", "\r\n"] {
        let text = ["x,y", "", "\"two", "lines\",a", "", "", "b"].join(end);
        let error = load_text(text, &source("y")).expect_err("a ragged row").to_string();
        assert!(error.contains("table.csv, line 7: expected 2 fields as in the header, found 1"), "{error}");
    }
}

/// A column of `count` numbers beside a target, and one more row.
fn mostly_numbers(count: usize, last: &str) -> String {
    let mut text = "x,y\n".to_owned();
    for i in 0..count {
        writeln!(text, "{i}.5,{}", i % 2).expect("writing to a string");
    }
    text + last
}

#[test]
fn text_among_numbers_is_a_slip() {
    let text = mostly_numbers(30, "1o,1\n");
    let error = load_text(&text, &source("y")).expect_err("a slip").to_string();
    let expected = "line 32: the column `x` holds `1o`, but 30 of its 31 values are numbers; \
                    mend the row, or list the column under `categorical`";
    assert!(error.ends_with(expected), "{error}");
    let error = load_text(mostly_numbers(30, "inf,1\n"), &source("y")).expect_err("infinity").to_string();
    assert!(error.contains("holds `inf`"), "{error}");
    let error = load_text(mostly_numbers(30, "1,maybe\n"), &source("y")).expect_err("a slip").to_string();
    assert!(error.contains("line 32: the target `y` is `maybe`"), "{error}");
    let kinds = |source: &CsvSource| load_text(&text, source).map(|data| table(&data).columns.clone());
    assert!(matches!(
        kinds(&CsvSource { categorical: vec!["x".into()], ..source("y") }).expect("valid")[0].values,
        ColumnValues::Categorical { .. }
    ));
    // With fewer numbers it may well be a column of categories.
    assert!(load_text(mostly_numbers(19, "many,1\n"), &source("y")).is_ok());
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let many =
        |rows: usize| (0..rows).fold("id,y,z\n".to_owned(), |text, i| text + &format!("t{i},{},1\n", i % 2));
    let classes = |rows: usize| (0..rows).fold("id,y\n".to_owned(), |text, i| text + &format!("1,t{i}\n"));
    let cases: Vec<(Vec<u8>, CsvSource, &str)> = vec![
        ("".into(), source("y"), "table.csv: the file is empty"),
        ("x,y\n".into(), source("y"), "the file holds a header and no rows"),
        (
            "1,2\n3,4\n".into(),
            source("y"),
            "line 1: expected a header row with the names of the columns, found the numbers `1`, `2`",
        ),
        (
            "x,y,x\n1,2,3\n".into(),
            source("y"),
            "line 1: columns 1 and 3 are both called `x`; rename one of them",
        ),
        (",y\n1,2\n".into(), source("y"), "line 1: column 1 has no name; name or remove it"),
        ("x,y\n1,2\n1,2,3\n".into(), source("y"), "line 3: expected 2 fields as in the header, found 3"),
        (
            "x,price\n1,2\n".into(),
            source("pirce"),
            "there is no target column `pirce` (did you mean `price`?); the columns are `x`, `price`",
        ),
        (
            "x,price\n1,2\n".into(),
            source("prices"),
            "`prices` (did you mean `price`?); the columns are `x`, `price`",
        ),
        ("x;y\n1;2\n".into(), source("y"), "separated by semicolons, expected commas"),
        (
            "x,y\n1,a\n2,\n".into(),
            source("y"),
            "line 3: the target `y` is missing; fill it in or remove the row",
        ),
        (
            "x,y\n1,a\n2,a\n".into(),
            source("y"),
            "the target `y` is `a` in every row, expected at least 2 classes",
        ),
        (
            "x,y\n1,1\n2,1\n".into(),
            source("y"),
            "the target `y` is `1` in every row, expected at least 2 classes",
        ),
        (b"x,y\n1,a\n\xff,b\n".into(), source("y"), "line 3: field 1 is not UTF-8"),
        ("y\na\nb\n".into(), source("y"), "no column is left to learn from"),
        (
            many(60).into(),
            source("y"),
            "the column `id` holds 60 different texts in 60 rows (the first is `t0`), too many",
        ),
        (many(1_001).into(), source("y"), "the column `id` holds 1001 different texts"),
        (
            classes(60).into(),
            source("y"),
            "the target `y` has 60 different values in 60 rows, too many for classes",
        ),
        (
            "x,y\n1,a\n2,b\n".into(),
            CsvSource { task: Some(Task::Regression), ..source("y") },
            "line 2: the target `y` is `a`, expected a number for `task = \"regression\"`",
        ),
        (
            "xs,y\n1,a\n2,b\n".into(),
            CsvSource { drop: vec!["x".into()], ..source("y") },
            "`drop` names `x`, which is no column (did you mean `xs`?); the columns are `xs`, `y`",
        ),
        (
            "xs,y\n1,a\n2,b\n".into(),
            CsvSource { categorical: vec!["y".into()], ..source("y") },
            "`categorical` names `y`, which is the target",
        ),
    ];
    for (text, source, expected) in cases {
        let error = load_text(text, &source).expect_err(expected).to_string();
        assert!(error.contains(expected), "expected: {expected}\nfound: {error}");
    }
    assert!(load_text(many(50), &source("y")).is_ok());
    assert!(load_text(many(60), &CsvSource { drop: vec!["id".into()], ..source("y") }).is_ok());
}

fn load_for(files: &[(&str, &str)], source: &CsvSource, split: &SplitConfig) -> Result<Dataset, DataError> {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("a writable folder");
    }
    Source::Csv(source.clone()).load_for(split, folder.path(), &|_, _, _| {})
}

#[test]
fn columns_of_the_split_are_no_inputs() {
    let rows = (0..200).map(|i| format!("{i}.5,patient{},2024-01-{:02},{}\n", i / 2, 1 + i % 28, i % 2));
    let text = format!("x,who,when,y\n{}", rows.collect::<String>());
    let files = [("table.csv", text.as_str())];
    let split = SplitConfig { group: Some("who".into()), ..Default::default() };
    // The dates are categories; the hundred patients would be too many for that.
    let data = load_for(&files, &source("y"), &split).expect("valid");
    let names =
        |data: &Dataset| table(data).columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
    assert_eq!((names(&data), data.aside[0].name.as_str()), (vec!["x".into(), "when".into()], "who"));
    split.split(&data).expect("a split");
    let drop = CsvSource { drop: vec!["who".into()], ..source("y") };
    let split = SplitConfig { time: Some("when".into()), ..Default::default() };
    let data = load_for(&files, &drop, &split).expect("valid");
    assert_eq!(names(&data), ["x"]);
    let parts = split.split(&data).expect("a split");
    let day = |row: &usize| row % 28;
    assert!(parts.train.iter().map(day).max() < parts.validation.iter().map(day).min());
    assert!(parts.validation.iter().map(day).max() < parts.test.iter().map(day).min());
    let data = load_for(&files, &drop, &SplitConfig { keep_time: true, ..split }).expect("valid");
    assert_eq!(names(&data), ["x", "when"]);
    let split = SplitConfig { time: Some("wen".into()), ..Default::default() };
    let error = load_for(&files, &drop, &split).expect_err("no column").to_string();
    assert!(error.contains("there is no column of times `wen` (did you mean `when`?)"), "{error}");
}

#[test]
fn a_test_file_has_the_same_columns_in_any_order() {
    let split = SplitConfig {
        test: TestSplit::File(TestFile { kind: "csv", path: "test.csv".into() }),
        validation: 0.5,
        ..Default::default()
    };
    let train = ("table.csv", "x,town,y\n1,Zug,a\n2,Bern,b\n3,Zug,a\n4,Zug,b\n");
    let data = load_for(&[train, ("test.csv", "y,extra,town,x\nb,0,Chur,9\n")], &source("y"), &split)
        .expect("valid");
    assert_eq!((data.len(), data.given_test), (5, Some(1)));
    let Targets::Classes { labels, .. } = &data.targets else { panic!("classes") };
    assert_eq!(labels, &[0, 1, 0, 1, 1]);
    assert_eq!(split.split(&data).expect("a split").test, [4]);
    let error = load_for(&[train, ("test.csv", "y,town\nb,Chur\n")], &source("y"), &split).expect_err("no x");
    assert!(error.to_string().ends_with("test.csv: the test file lacks the columns `x`; it has `y`, `town`"));
    let text = "x,town,y\n1,Zug,a\n1,Zug,\n";
    let error =
        load_for(&[train, ("test.csv", text)], &source("y"), &split).expect_err("no label").to_string();
    assert!(
        error.ends_with("test.csv, line 3: the target `y` is missing; fill it in or remove the row"),
        "{error}"
    );
    let error = load_for(&[train, ("test.csv", "x,town,y\n1,Zug,c\n")], &source("y"), &split).expect("valid");
    assert!(
        split
            .split(&error)
            .expect_err("class c")
            .to_string()
            .contains("the class `c` appears only in the test")
    );
    assert!(load_for(&[train], &source("y"), &split).expect_err("no file").to_string().contains("test.csv"));
}
