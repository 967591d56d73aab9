//! The reference of all settings as Markdown, made of what the macros that parse them have recorded.
//!
//! A [`Section`] names the places of a file that it is about, with the type of what stands there. Every
//! type that can be reached from them is described once: in the section that names it, else where it is
//! met first. Where it is met again there is a link.

use std::collections::HashSet;
use std::fmt::Write;

use super::{Decode, Field, KindsSchema, Schema};

/// A chapter of the reference.
#[derive(Debug, Clone)]
pub struct Section {
    title: &'static str,
    intro: String,
    roots: Vec<(&'static str, Schema)>,
}

impl Section {
    /// A chapter with a title and some Markdown to begin with.
    pub fn new(title: &'static str, intro: impl Into<String>) -> Self {
        Self { title, intro: intro.into(), roots: Vec::new() }
    }

    /// The same, with what stands at `place`, such as `train.optimizer`.
    #[must_use]
    pub fn with<T: Decode>(mut self, place: &'static str) -> Self {
        self.roots.push((place, T::schema()));
        self
    }
}

/// The chapters as one page.
pub fn markdown(sections: &[Section]) -> String {
    let mut page = Page::default();
    for (_, schema) in sections.iter().flat_map(|section| &section.roots) {
        page.root(schema);
    }
    for section in sections {
        writeln!(page.text, "\n## {}\n", section.title).ok();
        page.paragraph(&section.intro);
        for (place, schema) in &section.roots {
            page.describe(place, schema);
            while !page.met.is_empty() {
                let (place, schema) = page.met.remove(0);
                page.describe(&place, &schema);
            }
        }
    }
    page.text.trim().to_owned() + "\n"
}

/// The places of keys and kinds that can be reached from the sections and have no documentation.
pub fn unexplained(sections: &[Section]) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut queue: Vec<(String, Schema)> = sections
        .iter()
        .flat_map(|section| section.roots.iter().map(|(place, schema)| ((*place).to_owned(), schema.clone())))
        .collect();
    let mut missing = Vec::new();
    while let Some((place, schema)) = queue.pop() {
        if let (Schema::Table(_) | Schema::Kinds(_), Some(name)) = (&schema, name(&schema))
            && !seen.insert(name)
        {
            continue;
        }
        let mut fields = Vec::new();
        match schema {
            Schema::Value { parts, .. } => queue.extend(parts.into_iter().map(|part| (place.clone(), part))),
            Schema::List(item) => queue.push((place.clone(), *item)),
            Schema::Table(table) => fields = table.fields,
            Schema::Kinds(kinds) => {
                fields = kinds.common;
                for kind in kinds.kinds {
                    let place = format!("{place}.{}", kind.kind);
                    if kind.doc.trim().is_empty() {
                        missing.push(place.clone());
                    }
                    queue.extend(kind.settings.map(|settings| (place, settings())));
                }
            }
        }
        for field in fields {
            let place = format!("{place}.{}", field.key);
            if field.doc.trim().is_empty() {
                missing.push(place.clone());
            }
            queue.push((place, (field.schema)()));
        }
    }
    missing.sort();
    missing
}

/// The name of the type of a table or of kinds, also of those in a list.
fn name(schema: &Schema) -> Option<&'static str> {
    match schema {
        Schema::Value { .. } => None,
        Schema::List(item) => name(item),
        Schema::Table(table) => Some(table.name),
        Schema::Kinds(kinds) => Some(kinds.name),
    }
}

#[derive(Default)]
struct Page {
    text: String,
    /// The types that sections name.
    roots: HashSet<&'static str>,
    /// The types that are described.
    done: HashSet<&'static str>,
    /// Types that a description has met and that are to be described after it.
    met: Vec<(String, Schema)>,
}

impl Page {
    fn paragraph(&mut self, text: &str) {
        if !text.trim().is_empty() {
            writeln!(self.text, "{}\n", text.trim()).ok();
        }
    }

    /// Takes note of a type that a section names, or of those that its words speak of.
    fn root(&mut self, schema: &Schema) {
        if let Schema::Value { parts, .. } = schema {
            for part in parts {
                self.root(part);
            }
        }
        self.roots.extend(name(schema));
    }

    /// What stands at `place`, with a heading. Nothing where it is described already.
    fn describe(&mut self, place: &str, schema: &Schema) {
        match schema {
            Schema::List(item) => self.describe(place, item),
            Schema::Value { expected, parts } => {
                if !expected.is_empty() {
                    writeln!(self.text, "### `{place}`\n").ok();
                    self.paragraph(&format!("{}.", capitalized(expected)));
                }
                for part in parts {
                    self.describe(
                        &form(part).map_or(place.to_owned(), |form| format!("{place} = {form}")),
                        part,
                    );
                }
            }
            Schema::Table(table) => {
                if self.done.insert(table.name) {
                    self.heading(place, table.name, table.doc);
                    self.keys(place, &table.fields);
                }
            }
            Schema::Kinds(kinds) => {
                if self.done.insert(kinds.name) {
                    self.heading(place, kinds.name, kinds.doc);
                    self.kinds(place, kinds);
                }
            }
        }
    }

    fn heading(&mut self, place: &str, name: &str, doc: &str) {
        writeln!(self.text, "<a id=\"{}\"></a>\n\n### `{place}`\n", anchor(name)).ok();
        self.paragraph(&prose(doc));
    }

    fn kinds(&mut self, place: &str, kinds: &KindsSchema) {
        if kinds.kinds.iter().all(|kind| kind.settings.is_none()) {
            for kind in &kinds.kinds {
                writeln!(self.text, "- `\"{}\"`: {}", kind.kind, line(kind.doc)).ok();
            }
            writeln!(self.text).ok();
        } else {
            for kind in &kinds.kinds {
                let settings = kind.settings.map(|settings| settings());
                let written = match (kinds.by_key, &settings) {
                    (true, _) => format!("{{ {} = … }}", kind.kind),
                    (false, None) => format!("\"{}\"", kind.kind),
                    (false, Some(_)) => format!("{{ kind = \"{}\", … }}", kind.kind),
                };
                writeln!(self.text, "#### `{}`\n\nIn a file: `{written}`.\n", kind.kind).ok();
                self.paragraph(&prose(kind.doc));
                // Mostly it says the same in fewer words.
                if let Some(Schema::Table(table)) = &settings
                    && prose(table.doc).len() > prose(kind.doc).len()
                {
                    self.paragraph(&prose(table.doc));
                }
                let place = format!("{place}.{}", kind.kind);
                match settings {
                    None => {}
                    Some(Schema::Table(table)) => self.keys(&place, &table.fields),
                    Some(other) => {
                        let cell = self.cell(&place, "", &other);
                        self.paragraph(&format!("{}.", capitalized(&cell)));
                    }
                }
            }
        }
        if !kinds.common.is_empty() {
            self.paragraph("Keys of every kind:");
            self.keys(place, &kinds.common);
        }
    }

    fn keys(&mut self, place: &str, fields: &[Field]) {
        if fields.is_empty() {
            return;
        }
        self.text += "| key | meaning | value | default |\n| --- | --- | --- | --- |\n";
        for field in fields {
            let cell = self.cell(&format!("{place}.{}", field.key), field.expected, &(field.schema)());
            let default = match field.default.map(|default| default()) {
                None => "required".to_owned(),
                Some(text) if text.is_empty() => "none".to_owned(),
                Some(text) if text == "{}" || text == "its own defaults" => "its own defaults".to_owned(),
                Some(text) => format!("`{}`", text.replace('|', "\\|")),
            };
            let (key, doc) = (field.key, line(field.doc).replace('|', "\\|"));
            writeln!(self.text, "| `{key}` | {doc} | {cell} | {default} |").ok();
        }
        writeln!(self.text).ok();
    }

    /// What may stand at `place`, in the cell of a table, with links to what has a description of its own.
    fn cell(&mut self, place: &str, expected: &str, schema: &Schema) -> String {
        if let Some(name) = name(schema)
            && !self.roots.contains(name)
            && !self.done.contains(name)
            && !self.met.iter().any(|(_, met)| self::name(met) == Some(name))
        {
            self.met.push((place.to_owned(), schema.clone()));
        }
        let link = |words: &str, name: &str| format!("[{}](#{})", words.replace('|', "\\|"), anchor(name));
        match schema {
            Schema::Value { expected: own, parts } => {
                let words = if expected.is_empty() { own } else { expected };
                let links = parts.iter().map(|part| match form(part) {
                    Some(form) => self.cell(&format!("{place} = {form}"), &format!("`{form}`"), part),
                    None => self.cell(place, "", part),
                });
                let links: Vec<String> = links.collect();
                let links = if links.is_empty() { String::new() } else { format!(": {}", links.join(", ")) };
                format!("{}{links}", words.replace('|', "\\|"))
            }
            Schema::List(item) => format!("a list of: {}", self.cell(place, "", item)),
            Schema::Table(table) => link(if expected.is_empty() { "a table" } else { expected }, table.name),
            Schema::Kinds(kinds) => {
                link(if expected.is_empty() { kinds.expected } else { expected }, kinds.name)
            }
        }
    }
}

/// How one of several forms of a value that are tables is told from the others: by its first key.
fn form(part: &Schema) -> Option<String> {
    match part {
        Schema::Table(table) => table.fields.first().map(|field| format!("{{ {} = … }}", field.key)),
        _ => None,
    }
}

/// The target of links to a type.
fn anchor(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

/// Documentation as Markdown, without what is for rustdoc alone: the blank before each line, links to items, examples in
/// Rust.
fn prose(doc: &str) -> String {
    let mut is_example = false;
    let lines = doc.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).filter(|line| {
        let fence = line.starts_with("```");
        is_example ^= fence;
        !fence && !is_example
    });
    let mut text = String::new();
    let mut rest = lines.collect::<Vec<_>>().join("\n");
    // A link to an item: `[text](Type::item)`.
    while let Some((before, target)) = rest.split_once("](")
        && let Some((item, after)) = target.split_once(')')
    {
        if item.contains("::")
            && let Some((before, label)) = before.rsplit_once('[')
        {
            text += &format!("{before}{label}");
        } else {
            text += &format!("{before}]({item})");
        }
        rest = after.to_owned();
    }
    text += &rest;
    text.replace("[`", "`").replace("`]", "`").trim().to_owned()
}

/// Documentation in one line.
fn line(doc: &str) -> String {
    prose(doc).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests;
