//! Which processes live, and waiting for what they do.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// No moment of these tests takes nearly as long.
pub(crate) const LONG: Duration = Duration::from_mins(1);

/// Living processes whose command line holds `mark`.
pub(crate) fn alive(mark: &str) -> Vec<String> {
    let listed = std::process::Command::new("ps").args(["-A", "-o", "stat=,args="]).output().unwrap();
    super::text(&listed.stdout)
        .lines()
        .filter(|line| line.contains(mark) && !line.starts_with('Z'))
        .map(str::to_owned)
        .collect()
}

/// Waits until a condition holds; says whether it came to.
pub(crate) fn until(condition: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + LONG;
    while !condition() {
        if Instant::now() > deadline {
            return false;
        }
        sleep(Duration::from_millis(10));
    }
    true
}

/// A number of seconds that no other process on the machine sleeps for.
pub(crate) fn unique() -> String {
    let moment = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    format!("7{}", moment % 1_000_000_000)
}
