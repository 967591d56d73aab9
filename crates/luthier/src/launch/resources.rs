//! What a worker needs of a machine.

use std::str::FromStr;
use std::time::Duration;

/// What each worker needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resources {
    /// Processor cores.
    pub cpus: u32,
    /// GPUs.
    pub gpus: u32,
    /// Memory; where it is not given, what the engine gives.
    pub memory: Option<Memory>,
    /// How long it may run; where it is not given, as long as the engine lets it.
    pub time: Option<Duration>,
}

/// An amount of memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory(u64);

impl Memory {
    /// In bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// In units of 2^20 bytes, rounded up.
    pub fn mebibytes(self) -> u64 {
        self.0.div_ceil(1 << 20)
    }
}

impl FromStr for Memory {
    type Err = String;

    /// Reads `512M`, `4G` or `1T`: units of 2^20, 2^30 and 2^40 bytes.
    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || format!("expected a whole number with a unit, such as 512M, 4G or 1T, found {text:?}");
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = match text[digits.len()..].to_ascii_uppercase().as_str() {
            "M" | "MB" | "MI" | "MIB" => 1 << 20,
            "G" | "GB" | "GI" | "GIB" => 1 << 30,
            "T" | "TB" | "TI" | "TIB" => 1_u64 << 40,
            _ => return Err(expected()),
        };
        let number: u64 = digits.parse().map_err(|_| expected())?;
        number.checked_mul(unit).filter(|bytes| *bytes > 0).map(Self).ok_or_else(expected)
    }
}
