//! Numbers of other floating-point formats as single precision.

/// A floating-point format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FloatFormat {
    /// IEEE double precision.
    F64,
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of a single-precision number.
    BF16,
}

impl FloatFormat {
    /// The numbers in `bytes`, which are in little-endian order, rounded to single precision.
    pub(super) fn singles(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F64 => {
                let number = |bytes: &[u8; 8]| f64::from_le_bytes(*bytes) as f32;
                bytes.as_chunks().0.iter().map(number).collect()
            }
            Self::F32 => bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            Self::F16 => {
                let number = |bytes: &[u8; 2]| half::f16::from_le_bytes(*bytes).to_f32();
                bytes.as_chunks().0.iter().map(number).collect()
            }
            Self::BF16 => {
                let number = |bytes: &[u8; 2]| half::bf16::from_le_bytes(*bytes).to_f32();
                bytes.as_chunks().0.iter().map(number).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FloatFormat;

    #[test]
    fn the_same_numbers_come_from_every_format() {
        let numbers = [0.0_f32, -1.5, 0.25, 96.0];
        let doubles: Vec<u8> = numbers.iter().flat_map(|x| f64::from(*x).to_le_bytes()).collect();
        let singles: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        let halves = [0x0000_u16, 0xbe00, 0x3400, 0x5600].iter().flat_map(|x| x.to_le_bytes());
        let brains = [0x0000_u16, 0xbfc0, 0x3e80, 0x42c0].iter().flat_map(|x| x.to_le_bytes());
        assert_eq!(FloatFormat::F64.singles(&doubles), numbers);
        assert_eq!(FloatFormat::F32.singles(&singles), numbers);
        assert_eq!(FloatFormat::F16.singles(&halves.collect::<Vec<_>>()), numbers);
        assert_eq!(FloatFormat::BF16.singles(&brains.collect::<Vec<_>>()), numbers);
    }
}
