//! Warm starts: the starting points that earlier studies hand on, written into the file when its study begins.

use luthier_core::config::{Kind, Node, Problems, nearest};
use luthier_core::{Params, Storage, View};
use luthier_runner::{LedgerError, read_history};
use thiserror::Error;

use super::{StudyFile, guidance};

/// Why a study cannot begin with what earlier ones found.
#[derive(Debug, Error)]
pub enum WarmStartError {
    /// There is no such study in the storage.
    #[error("search.warm_start: there is no study `{name}` in this storage{hint}")]
    NoStudy {
        /// Its name.
        name: String,
        /// What it may have been meant to be.
        hint: String,
    },
    /// The earlier study's history.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The storage.
    #[error(transparent)]
    Storage(#[from] luthier_core::StorageError),
}

impl StudyFile {
    /// The file with the starting points of its earlier studies behind its own, for a study that begins; once they are
    /// in the file, the study does not depend on the earlier ones any more. `stored` is the file of a study that has
    /// begun: then its starting points are kept.
    ///
    /// # Errors
    ///
    /// If an earlier study is not there, or cannot be read.
    pub fn warmed(mut self, storage: &dyn Storage, stored: Option<&str>) -> Result<Self, WarmStartError> {
        if self.search.warm_start.is_empty() {
            return Ok(self);
        }
        if let Some(stored) = stored {
            self.keep_starts(stored);
            return Ok(self);
        }
        let mut histories = Vec::new();
        for name in &self.search.warm_start {
            let Some(study) = storage.study(name)? else {
                let names: Vec<String> =
                    storage.studies()?.into_iter().map(|study| study.definition.name).collect();
                let near = nearest(name, names.iter().map(String::as_str));
                let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                return Err(WarmStartError::NoStudy { name: name.clone(), hint });
            };
            histories.push(read_history(storage, &study)?);
        }
        let views: Vec<View<'_>> = histories.iter().map(|history| history.view()).collect();
        let found = luthier_search::warm_start(views, self.space());
        let mut items: Vec<Node> = match self.enqueue().map(|list| list.kind.clone()) {
            Some(Kind::Array(items)) => items,
            _ => Vec::new(),
        };
        items.extend(found.iter().map(node));
        if let Some(pbt) = self.search.sampler.population() {
            // There are no more members that begin anew.
            items.truncate(pbt.size() as usize);
        }
        self.set_starts(items);
        Ok(self)
    }

    fn enqueue(&self) -> Option<&Node> {
        self.root.get("search")?.get("enqueue")
    }

    fn set_starts(&mut self, items: Vec<Node>) {
        // The section is there: it says where to start from.
        if self.root.set("search.enqueue", Node::new(Kind::Array(items))).is_ok() {
            // What was taken fits the space; what stood there was checked.
            self.starts = guidance::starts(&self.root, (&self.template, &self.space), &mut Problems::new(""));
        }
    }

    /// Takes the starting points of a stored file that begin with this one's own.
    fn keep_starts(&mut self, stored: &str) {
        let Ok(stored) = Node::parse(stored, "stored") else { return };
        let values = |node: Option<&Node>| -> Vec<String> {
            match node.map(|node| &node.kind) {
                Some(Kind::Array(items)) => items.iter().map(|item| format!("{:?}", plain(item))).collect(),
                _ => Vec::new(),
            }
        };
        let list = stored.get("search").and_then(|search| search.get("enqueue"));
        let (now, before) = (values(self.enqueue()), values(list));
        if let Some(Kind::Array(items)) = list.map(|list| list.kind.clone())
            && before.starts_with(&now)
        {
            self.set_starts(items);
        }
    }
}

/// A node without its lines.
fn plain(node: &Node) -> Option<Params> {
    luthier_core::config::Decode::decode(node, "", &mut Problems::new(""))
}

/// A starting point as a table.
fn node(start: &Params) -> Node {
    let entries = start.iter().map(|(name, value)| (name.clone(), Node::from(value)));
    Node::new(Kind::Table(entries.collect()))
}
