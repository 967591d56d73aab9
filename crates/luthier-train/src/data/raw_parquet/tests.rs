//! Tests of the text that values of Parquet become. Whole files are read in `tests/data_sources.rs`.

use super::*;

#[test]
fn decimals_keep_their_digits() {
    assert_eq!(decimal(12_345, 2), "123.45");
    assert_eq!(decimal(-5, 2), "-0.05");
    assert_eq!(decimal(0, 0), "0");
    assert_eq!(decimal(7, -3), "7", "there is no negative scale in files");
    assert_eq!(big_endian(&[0xff, 0xfe], 0).as_deref(), Some("-2"));
    assert_eq!(big_endian(&[0x01, 0x00], 1).as_deref(), Some("25.6"));
    assert_eq!(big_endian(&[1; 17], 0), None, "too large for the arithmetic here");
}

#[test]
fn what_is_no_parquet_file_is_said() {
    let error =
        |bytes: &[u8]| parse(Path::new("x.parquet"), bytes.to_vec()).err().expect("broken").to_string();
    assert!(error(b"PAR1").starts_with("x.parquet: the Parquet file is cut off or damaged: "));
    assert!(error(b"PAR1 and nothing else that makes sense PAR1").contains("cut off or damaged"));
}
