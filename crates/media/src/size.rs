//! Sizes as people write them: `64MiB`.

use std::fmt;
use std::str::FromStr;

/// A number of bytes, written as a whole number with an optional binary unit: `512`, `4KiB`, `64MiB`, `1GiB`.
///
/// Decimal units and bare letters are refused, because `64M` means two things and a disk has one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

const UNITS: [(&str, u32); 5] = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40), ("PiB", 50)];

/// Why a word is not a size. The second sentence of the message says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SizeError {
    /// There is no whole number at the start.
    #[error("`{0}` is not a size; write a whole number and a unit, such as 64MiB")]
    NotANumber(String),
    /// The unit is unknown, or one of the decimal ones.
    #[error("`{word}` has no known unit; write {hint}")]
    Unit {
        /// The word as it was given.
        word: String,
        /// What to write instead.
        hint: String,
    },
    /// It does not fit in 64 bits.
    #[error("`{0}` is larger than any disk; the limit is 2^64 - 1 bytes")]
    TooLarge(String),
}

impl FromStr for ByteSize {
    type Err = SizeError;

    fn from_str(word: &str) -> Result<Self, SizeError> {
        let digits_end = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
        let (digits, unit) = word.split_at(digits_end);
        if digits.is_empty() {
            return Err(SizeError::NotANumber(word.into()));
        }
        let number: u64 = digits.parse().map_err(|_| SizeError::TooLarge(word.into()))?;
        let shift = match UNITS.iter().find(|(name, _)| *name == unit) {
            Some((_, shift)) => *shift,
            None if unit.is_empty() => 0,
            None => return Err(unknown_unit(word, digits, unit)),
        };
        number.checked_mul(1 << shift).map(Self).ok_or_else(|| SizeError::TooLarge(word.into()))
    }
}

fn unknown_unit(word: &str, digits: &str, unit: &str) -> SizeError {
    let letter = unit.trim_start().chars().next().map(|c| c.to_ascii_uppercase());
    let hint = match UNITS.iter().find(|(name, _)| name.chars().next() == letter) {
        Some((name, _)) => format!("{digits}{name}"),
        None if letter == Some('B') => format!("{digits} alone for bytes"),
        None => String::from("KiB, MiB, GiB, TiB or PiB, or nothing for bytes"),
    };
    SizeError::Unit { word: word.into(), hint }
}

impl fmt::Display for ByteSize {
    /// With the largest unit that gives a whole number, so that it reads back as the same size.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |shift: u32| self.0 != 0 && self.0.trailing_zeros() >= shift;
        match UNITS.iter().rev().find(|(_, shift)| whole(*shift)) {
            Some((name, shift)) => write!(f, "{}{name}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (word, bytes, canonical) in [
            ("0", 0, "0"),
            ("512", 512, "512"),
            ("1024", 1024, "1KiB"),
            ("4KiB", 4096, "4KiB"),
            ("64MiB", 64 << 20, "64MiB"),
            ("1024MiB", 1 << 30, "1GiB"),
            ("3TiB", 3 << 40, "3TiB"),
            ("16383PiB", 16383 << 50, "16383PiB"),
            ("18446744073709551615", u64::MAX, "18446744073709551615"),
        ] {
            let size: ByteSize = word.parse().unwrap();
            assert_eq!((size.0, size.to_string().as_str()), (bytes, canonical), "{word}");
        }
    }

    #[test]
    fn other_words_are_refused_with_what_to_write() {
        for (word, hint) in [
            ("64MB", "write 64MiB"),
            ("64M", "write 64MiB"),
            ("64mib", "write 64MiB"),
            ("64 MiB", "write 64MiB"),
            ("4k", "write 4KiB"),
            ("1.5GiB", "write KiB, MiB"),
            ("10B", "write 10 alone"),
            ("10x", "KiB, MiB"),
            ("", "such as 64MiB"),
            ("MiB", "such as 64MiB"),
            ("-1", "such as 64MiB"),
            ("16384PiB", "larger than any disk"),
            ("99999999999999999999", "larger than any disk"),
        ] {
            let message = word.parse::<ByteSize>().unwrap_err().to_string();
            assert!(message.contains(hint), "{word}: {message}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(bytes in any::<u64>(), shift in 0u32..64) {
            let size = ByteSize(bytes << shift);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
        }
    }
}
