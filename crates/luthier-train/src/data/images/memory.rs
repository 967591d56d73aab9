//! How much decoded data is kept in memory.

use luthier_core::config::{Decode, Kind, Node, Problems};

/// The most that is kept in memory unless a setting says otherwise.
const MOST: u64 = 512 << 20;

/// A number of bytes: `"512MB"`, `"2GB"` or a plain number. `KB`, `MB` and `GB` are powers of 1000, `KiB`,
/// `MiB` and `GiB` of 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl Decode for ByteSize {
    const EXPECTED: &'static str = "a size such as \"512MB\" or \"2GiB\", or a number of bytes";

    fn decode(node: &Node, path: &str, problems: &mut Problems) -> Option<Self> {
        let read = match &node.kind {
            Kind::Int(bytes) => u64::try_from(*bytes).ok(),
            Kind::Text(text) => parse(text),
            _ => None,
        };
        if read.is_none() {
            problems.add(node.line, path, Self::EXPECTED, node.describe());
        }
        read.map(Self)
    }
}

fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len());
    let number: f64 = text[..split].trim().parse().ok()?;
    let unit: u64 = match text[split..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return None,
    };
    let bytes = number * unit as f64;
    (bytes >= 0.0 && bytes < u64::MAX as f64).then_some(bytes as u64)
}

/// What may be kept in memory where no setting says it: 512 MiB, or a quarter of what the process may have
/// where that is less. Limits are read where Linux shows them (`ulimit -v`, control groups, the memory
/// of the machine). It decides where the data lies, never what it is.
pub(super) fn allowance() -> u64 {
    limits().into_iter().map(|limit| limit / 4).fold(MOST, u64::min)
}

fn limits() -> Vec<u64> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let mut found = Vec::new();
    // `Max address space  4194304  unlimited  bytes`
    for line in read("/proc/self/limits").lines() {
        if let Some(rest) =
            line.strip_prefix("Max address space").or_else(|| line.strip_prefix("Max data size"))
        {
            found.extend(rest.split_whitespace().next().and_then(|soft| soft.parse::<u64>().ok()));
        }
    }
    // `MemTotal:  16384 kB`
    for line in read("/proc/meminfo").lines() {
        if let Some(rest) = line.strip_prefix("MemTotal:") {
            let kibibytes = rest.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
            found.extend(kibibytes.map(|kibibytes| kibibytes << 10));
        }
    }
    // `4:memory:/path` of the first version of control groups, `0::/path` of the second.
    let mut files = vec![
        "/sys/fs/cgroup/memory.max".to_owned(),
        "/sys/fs/cgroup/memory/memory.limit_in_bytes".to_owned(),
    ];
    for line in read("/proc/self/cgroup").lines() {
        let mut parts = line.splitn(3, ':');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(_), Some("memory"), Some(path)) => {
                files.push(format!("/sys/fs/cgroup/memory{path}/memory.limit_in_bytes"));
            }
            (Some("0"), Some(""), Some(path)) => files.push(format!("/sys/fs/cgroup{path}/memory.max")),
            _ => {}
        }
    }
    found.extend(files.iter().filter_map(|file| read(file).trim().parse::<u64>().ok()));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        assert_eq!(parse("512MB"), Some(512_000_000));
        assert_eq!(parse("1.5 GiB"), Some(3 << 29));
        assert_eq!(parse("10"), Some(10));
        assert_eq!(parse("10 pages"), None);
        assert_eq!(parse("-1MB"), None);
        assert!((1..=MOST).contains(&allowance()));
    }
}
