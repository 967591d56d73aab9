//! The processes that descend from another one, and their memory, as Linux shows them in `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::io;

/// A process that is alive, with its parent.
fn parent(pid: i32) -> Option<i32> {
    // "7 (name, perhaps with blanks and parentheses) S 1 …"; one that has ended meanwhile has none.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") { None } else { fields.next()?.parse().ok() }
}

/// The processes that descend from `root` and have not ended, `root` left out.
pub(super) fn descendants(root: i32) -> io::Result<Vec<i32>> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Some(parent) = parent(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = children.remove(&root).unwrap_or_default();
    let mut at = 0;
    while at < found.len() {
        let next = children.remove(&found[at]).unwrap_or_default();
        found.extend(next);
        at += 1;
    }
    Ok(found)
}

/// A figure of a file such as `/proc/7/status`, in bytes.
fn figure(pid: i32, file: &str, key: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kilobytes: u64 = line.trim_start_matches(':').trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// The memory of all processes that descend from `root`, in bytes, if it is more than `limit`. Pages that they share
/// count once: the resident sizes come first, which are quick to read and never less, and only if their sum is
/// too much the proportional ones.
pub(super) fn memory_above(limit: u64, root: i32) -> Option<u64> {
    let processes = descendants(root).ok()?;
    let resident = |pid: &i32| figure(*pid, "status", "VmRSS").unwrap_or(0);
    let sum = |size: &dyn Fn(&i32) -> u64| processes.iter().map(size).sum::<u64>();
    if sum(&resident) <= limit {
        return None;
    }
    let own = sum(&|pid| figure(*pid, "smaps_rollup", "Pss").unwrap_or_else(|| resident(pid)));
    (own > limit).then_some(own)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn grandchildren_descend_and_take_memory() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & sleep 60 & read _; kill %1 %2"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = shell.id() as i32;
        let deadline = Instant::now() + Duration::from_secs(10);
        while descendants(pid).unwrap().len() < 2 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let own = std::process::id() as i32;
        assert_eq!(descendants(pid).unwrap().len(), 2);
        assert!(descendants(own).unwrap().len() >= 3);
        assert!(memory_above(1_000, own).is_some_and(|bytes| bytes < 100_000_000));
        assert_eq!(memory_above(u64::MAX, own), None);
        drop(shell.stdin.take());
        shell.wait().unwrap();
        // The kernel counts nothing for who has ended.
        assert!(parent(pid).is_none());
    }
}
