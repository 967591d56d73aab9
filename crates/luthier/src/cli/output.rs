//! What is printed, and how numbers look.

use std::io::{ErrorKind, Write};

use comfy_table::{Table, presets};
use luthier_core::{Metrics, Params, Value};

use super::Failure;

/// Prints a result to stdout, ending the line if it is not ended.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    let newline = if text.ends_with('\n') { "" } else { "\n" };
    match write!(stdout, "{text}{newline}").and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::Unread),
        Err(error) => Err(error.into()),
    }
}

/// Prints a result as JSON.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    print(&serde_json::to_string_pretty(value)?)
}

/// Tells a person something on stderr. If stderr is gone there is nobody to tell.
pub(crate) fn tell(text: &str) {
    let written = writeln!(std::io::stderr().lock(), "{text}");
    drop(written);
}

/// A number for a person: six significant digits, trailing zeros gone.
pub(crate) fn number(x: f64) -> String {
    if x == 0.0 || !x.is_finite() {
        return format!("{x}");
    }
    if !(1e-4..1e7).contains(&x.abs()) {
        return trimmed(&format!("{x:.4e}"));
    }
    let decimals = (5 - x.abs().log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{x:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A mantissa without trailing zeros: `1.5000e-5` as `1.5e-5`.
fn trimmed(text: &str) -> String {
    match text.split_once('e') {
        Some((mantissa, exponent)) if mantissa.contains('.') => {
            format!("{}e{exponent}", mantissa.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => text.to_owned(),
    }
}

/// A parameter's value for a person.
pub(crate) fn value(value: &Value) -> String {
    match value {
        Value::Float(x) => number(*x),
        other => other.to_string(),
    }
}

/// Metrics in one line: `accuracy 0.99, loss 0.03`.
pub(crate) fn metrics(metrics: &Metrics) -> String {
    let parts: Vec<String> =
        metrics.iter().map(|(name, value)| format!("{name} {}", number(value))).collect();
    parts.join(", ")
}

/// Parameters, one a line, indented.
pub(crate) fn params(params: &Params) -> String {
    let width = params.keys().map(String::len).max().unwrap_or(0);
    params.iter().map(|(name, v)| format!("  {name:width$}  {}\n", value(v))).collect()
}

/// A time for a person.
pub(crate) fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{}m {:02}s", s as u64 / 60, s as u64 % 60),
        s => format!("{}h {:02}m", s as u64 / 3_600, s as u64 / 60 % 60),
    }
}

/// Milliseconds since 1970 as a date and time in UTC.
pub(crate) fn date(ms: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(ms);
    time.map(|time| time.format("%Y-%m-%d %H:%M").to_string()).unwrap_or_default()
}

/// A table with these heads.
pub(crate) fn table<'h>(heads: impl IntoIterator<Item = &'h str>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(heads.into_iter().collect::<Vec<_>>());
    table
}

/// A table as text, without blanks at the ends of lines.
pub(crate) fn table_text(table: &Table) -> String {
    table.to_string().lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (x, text) in [
            (0.1 + 0.2, "0.3"),
            (1.5e-5, "1.5e-5"),
            (123_456.7, "123457"),
            (0.000_123_456_7, "0.000123457"),
            (-2.0, "-2"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(number(x), text);
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00");
        assert_eq!(date(951_827_696_000), "2000-02-29 12:34");
        assert_eq!(date(1_795_046_399_000), "2026-11-18 23:59");
    }
}
