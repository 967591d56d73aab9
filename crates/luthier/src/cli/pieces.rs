//! The pieces that a forked trial consists of: who trained them, by which values, and how a file says so.

use indexmap::IndexMap;
use luthier::{PieceSettings, StudyFile};
use luthier_core::config::{Kind, Node};
use luthier_core::{History, Params, Trial, TrialId};
use serde::Serialize;

/// A stretch of a lineage that was trained by the same values.
#[derive(Debug, Serialize)]
pub(super) struct Piece<'h> {
    pub(super) trial: TrialId,
    /// Its first report and its last.
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) seed: u64,
    pub(super) params: &'h Params,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) set: Vec<String>,
}

/// The pieces of a trial, the earliest first: one, unless it was forked. A trial that was lengthened is of one piece with what
/// it goes on from.
pub(super) fn pieces<'h>(history: &'h History, trial: &'h Trial) -> Vec<Piece<'h>> {
    let mut pieces = Vec::new();
    let mut here = Some((trial, trial.reports.last().map_or(0, |report| report.step)));
    while let Some((trial, last)) = here {
        let mut from = trial.from.as_ref();
        while let Some(extended) = from.filter(|from| from.extends()) {
            from = history.trial(extended.origin.trial).and_then(|parent| parent.from.as_ref());
        }
        let set = trial.from.iter().flat_map(luthier_core::Lineage::sets).collect();
        let first = from.map_or(1, |from| from.origin.step + 1);
        pieces.push(Piece { trial: trial.id, first, last, seed: trial.seed, params: &trial.params, set });
        here = from.and_then(|from| Some((history.trial(from.origin.trial)?, from.origin.step)));
    }
    pieces.reverse();
    pieces
}

/// The filled-in file of the last of these pieces with those before it in its section `[trial]`: what repeats the trial.
pub(super) fn with_pieces(file: &StudyFile, last: &Node, pieces: &[Piece<'_>]) -> Result<Node, String> {
    let mut node = last.clone();
    let Some((_, before)) = pieces.split_last().filter(|(_, before)| !before.is_empty()) else {
        return Ok(node);
    };
    let before = before.iter().map(|piece| -> Result<Node, String> {
        let mut then = file.filled_node(piece.params, piece.seed)?;
        for set in &piece.set {
            let (path, value) = set.split_once('=').ok_or("a value without a path")?;
            then.set(path, Node::parse_value(value))?;
        }
        let changes = last.changes_to(&then, &["data", "model", "train"]);
        let text = |(path, value): (String, String)| Node::new(Kind::Text(format!("{path}={value}")));
        Ok(Node::new(Kind::Table(IndexMap::from([
            ("until".to_owned(), Node::new(Kind::Int(piece.last as i64))),
            ("seed".to_owned(), Node::new(Kind::Int(piece.seed as i64))),
            ("set".to_owned(), Node::new(Kind::Array(changes.into_iter().map(text).collect()))),
        ]))))
    });
    let before = before.collect::<Result<Vec<_>, String>>()?;
    node.set("trial.before", Node::new(Kind::Array(before)))?;
    Ok(node)
}

/// The pieces that a file says a training has behind it.
pub(super) fn before(file: &StudyFile) -> &[PieceSettings] {
    file.trial.as_ref().map_or(&[], |trial| &trial.before)
}
