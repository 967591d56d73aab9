//! The reference in `docs` is what the definitions say, and they say something of everything.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its files has failed")]

use std::path::Path;

use luthier::reference::{page, sections};
use luthier_core::config::reference::unexplained;

#[test]
fn the_committed_page_is_that_of_the_program() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/techniques.md");
    let committed = std::fs::read_to_string(path).unwrap_or_default().replace("\r\n", "\n");
    let page = page();
    let line = committed.lines().zip(page.lines()).position(|(old, new)| old != new);
    let line = line.unwrap_or(committed.lines().count().min(page.lines().count())) + 1;
    assert!(
        committed == page,
        "docs/techniques.md is stale from line {line} on; write it with: luthier reference > docs/techniques.md"
    );
}

#[test]
fn every_key_and_kind_is_explained() {
    assert_eq!(unexplained(&sections()), Vec::<String>::new());
}

#[test]
fn every_link_has_a_target() {
    let page = page();
    let links: Vec<&str> = page.split("](#").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    assert!(links.len() > 5, "{links:?}");
    for link in links {
        let targets = page.matches(&format!("<a id=\"{link}\"></a>")).count();
        assert_eq!(targets, 1, "{link}");
    }
}
