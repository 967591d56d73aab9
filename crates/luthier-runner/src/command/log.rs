//! What a program prints, bounded: the beginning and the end are kept.

use std::fmt::Write;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The kept part of a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Log {
    /// Bytes of the beginning, and of the end, that are kept at most.
    half: usize,
    #[serde(serialize_with = "lossy", deserialize_with = "bytes")]
    head: Vec<u8>,
    /// The end; up to twice as much as is kept, so that old bytes need not be moved out one by one.
    #[serde(serialize_with = "lossy", deserialize_with = "bytes")]
    tail: Vec<u8>,
    left_out: u64,
}

fn lossy<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(bytes))
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    String::deserialize(deserializer).map(String::into_bytes)
}

impl Log {
    /// An empty one that keeps `limit` bytes.
    pub(super) fn new(limit: u64) -> Self {
        let half = usize::try_from(limit).unwrap_or(usize::MAX).div_ceil(2);
        Self { half, head: Vec::new(), tail: Vec::new(), left_out: 0 }
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        if self.head.len() < self.half && self.tail.is_empty() {
            let (head, rest) = bytes.split_at(bytes.len().min(self.half - self.head.len()));
            self.head.extend_from_slice(head);
            bytes = rest;
        }
        self.tail.extend_from_slice(bytes);
        if self.tail.len() > self.half.saturating_mul(2) {
            self.trim();
        }
    }

    /// Leaves out what the end has too much.
    fn trim(&mut self) {
        let surplus = self.tail.len().saturating_sub(self.half);
        self.tail.drain(..surplus);
        self.left_out += surplus as u64;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.head.is_empty()
    }

    /// What is kept, and how much was left out.
    pub(super) fn text(&self) -> String {
        let mut log = self.clone();
        log.trim();
        let mut text = String::from_utf8_lossy(&log.head).into_owned();
        if log.left_out > 0 {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n[… {} bytes were left out here …]\n", log.left_out);
        }
        text + &String::from_utf8_lossy(&log.tail)
    }

    /// The last lines that are not blank, in one.
    pub(super) fn last_words(&self) -> String {
        let text = self.text();
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let words = lines[lines.len().saturating_sub(3)..].join(" | ");
        let surplus = words.chars().count().saturating_sub(400);
        if surplus == 0 { words } else { format!("…{}", words.chars().skip(surplus).collect::<String>()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_and_the_end_are_kept() {
        let mut log = Log::new(8);
        log.push(b"abc");
        assert_eq!(log.text(), "abc");
        log.push(b"defgh");
        assert_eq!(log.text(), "abcdefgh");
        for byte in b'i'..=b'z' {
            log.push(&[byte]);
        }
        assert_eq!(log.text(), "abcd\n[… 18 bytes were left out here …]\nwxyz");
        log.push(&[b'.'; 100]);
        assert_eq!(log.text(), "abcd\n[… 118 bytes were left out here …]\n....");
        let written = serde_json::to_string(&log).unwrap();
        let mut read: Log = serde_json::from_str(&written).unwrap();
        assert_eq!(read, log);
        read.push(b"end!");
        assert_eq!(read.text(), "abcd\n[… 122 bytes were left out here …]\nend!");
    }

    #[test]
    fn memory_is_bounded() {
        let mut log = Log::new(1_000);
        for _ in 0..10_000 {
            log.push(&[b'x'; 777]);
            assert!(log.head.len() + log.tail.len() <= 3 * 500 + 777);
        }
    }

    #[test]
    fn last_words_are_short() {
        let mut log = Log::new(100_000);
        log.push(b"one\n\ntwo\n  three \nfour\n\n");
        assert_eq!(log.last_words(), "two | three | four");
        log.push("ü".repeat(1_000).as_bytes());
        assert_eq!(log.last_words().chars().count(), 401);
    }
}
