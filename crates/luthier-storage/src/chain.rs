//! The digests by which a changed event is found: each is SHA-256 over the one before, the event's place and time,
//! and its text, the numbers in eight bytes with the highest first. The first follows the study's definition. The
//! function `luthier_append` of PostgreSQL computes the same.

use sha2::{Digest as _, Sha256};

/// The digest of an event and all before it: 32 bytes.
pub(crate) type Digest = [u8; 32];

/// The digest before the first event.
pub(crate) fn origin(definition: &str) -> Digest {
    Sha256::digest(definition.as_bytes()).into()
}

/// The digest of an event, from the one before it.
pub(crate) fn link(before: &[u8], revision: i64, at_ms: i64, event: &str) -> Digest {
    Sha256::new()
        .chain_update(before)
        .chain_update(revision.to_be_bytes())
        .chain_update(at_ms.to_be_bytes())
        .chain_update(event.as_bytes())
        .finalize()
        .into()
}

/// Goes through a study's events from the first, and keeps the first that is not as it was stored.
pub(crate) struct Check {
    before: Digest,
    revision: i64,
    pub(crate) altered: Option<u64>,
}

impl Check {
    pub(crate) fn new(definition: &str) -> Self {
        Self { before: origin(definition), revision: 0, altered: None }
    }

    /// The next event, as it is stored.
    pub(crate) fn event(&mut self, revision: i64, at_ms: i64, event: &str, digest: &[u8]) {
        self.revision += 1;
        let expected = link(&self.before, revision, at_ms, event);
        if self.altered.is_none() && (revision != self.revision || digest != expected) {
            self.altered = Some(self.revision as u64);
        }
        self.before = expected;
    }
}
