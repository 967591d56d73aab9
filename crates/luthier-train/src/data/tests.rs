//! Tests of the data set itself.

use super::*;

fn dataset() -> Dataset {
    let columns = vec![
        Column { name: "a".into(), values: ColumnValues::Numeric(vec![1.0, f64::NAN, 3.0]) },
        Column {
            name: "b".into(),
            values: ColumnValues::Categorical {
                codes: vec![Some(0), None, Some(1)],
                categories: vec!["x".into(), "y".into()],
            },
        },
    ];
    Dataset {
        name: "tiny".into(),
        inputs: Inputs::Table(Table { columns, rows: 3 }),
        targets: Targets::Classes {
            labels: vec![0, 1, 1],
            names: vec!["no".into(), "yes".into()],
            column: None,
        },
        given_test: None,
        aside: vec![],
        notices: vec![],
    }
}

#[test]
fn the_fingerprint_follows_the_contents_and_not_the_name() {
    let print = |data: &Dataset| data.fingerprint().expect("a table");
    let data = dataset();
    assert_eq!(print(&data).len(), 16);
    assert_eq!(print(&data), print(&Dataset { name: "other".into(), ..data.clone() }));
    let mut changed = Vec::new();
    changed.push(Dataset { given_test: Some(1), ..data.clone() });
    let edits: [fn(&mut Table); 4] = [
        |table| table.columns[0].values = ColumnValues::Numeric(vec![1.0, f64::NAN, 3.5]),
        |table| table.columns[0].values = ColumnValues::Numeric(vec![1.0, 2.0, 3.0]),
        |table| table.columns[1].name = "c".into(),
        |table| table.columns.swap(0, 1),
    ];
    for edit in edits {
        let mut other = data.clone();
        let Inputs::Table(table) = &mut other.inputs else { panic!("a table") };
        edit(table);
        changed.push(other);
    }
    let mut prints: Vec<String> = changed.iter().map(print).collect();
    prints.push(print(&data));
    prints.sort();
    prints.dedup();
    assert_eq!(prints.len(), 6, "two different data sets have the same fingerprint");
}

#[test]
fn the_summary_counts_columns_missing_values_and_classes() {
    let text = dataset().summary().to_string();
    assert_eq!(
        text,
        "tiny: 3 rows\ncolumns: 1 numeric, 1 categorical\nmissing: 1 in `a`\nmissing: 1 in `b`\nclasses: no (1), yes (2)"
    );
}
