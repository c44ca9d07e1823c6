//! A disk by what its hardware says of itself, wherever it is plugged in: `wwn:…`, `serial:…`.

use std::fmt;
use std::str::FromStr;

use crate::SpecError;

/// The longest name that is looked for; what hardware tells is far shorter.
const NAME_MAX: usize = 256;

/// A disk, or a partition of one, by a sign that it carries with it: `wwn:0x5000c500a1b2c3d4`, `serial:S3Z8NB0K`,
/// `serial:4C53-part1`.
///
/// A world wide name is given as `lsblk -o WWN` shows it: `0x…`, or `naa.…`, which is the same, `eui.…`, `t10.…`, `nvme.…`;
/// capitals do not matter there. A serial number is given as `lsblk -o SERIAL` shows it. Runs of blanks count as one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DiskName {
    sign: Sign,
    partition: Option<u32>,
}

/// What hardware says of itself; equal where it means the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Sign {
    /// A world wide name, in small letters, `naa.` written as `0x`.
    Wwn(String),
    /// A serial number, as it is.
    Serial(String),
}

impl Sign {
    /// `None` where nothing is said.
    pub(crate) fn wwn(text: &str) -> Option<Self> {
        let text = one_blank(text).to_ascii_lowercase();
        let text = text.strip_prefix("naa.").map_or(text.clone(), |digits| format!("0x{digits}"));
        (!text.is_empty() && text != "0x").then_some(Self::Wwn(text))
    }

    /// `None` where nothing is said.
    pub(crate) fn serial(text: &str) -> Option<Self> {
        let text = one_blank(text);
        (!text.is_empty()).then_some(Self::Serial(text))
    }
}

/// The words of a text, with one blank between them; zeroes at its end are none.
pub(crate) fn one_blank(text: &str) -> String {
    let is_blank = |c: char| c.is_whitespace() || c == '\0';
    let words: Vec<&str> = text.split(is_blank).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

impl DiskName {
    /// What the disk must say of itself.
    pub(crate) fn sign(&self) -> &Sign {
        &self.sign
    }

    /// The number of the partition; `None` for the whole disk.
    pub(crate) fn partition(&self) -> Option<u32> {
        self.partition
    }
}

impl FromStr for DiskName {
    type Err = SpecError;

    fn from_str(word: &str) -> Result<Self, SpecError> {
        let nameless = || SpecError::NoDisk(word.into());
        let (scheme, rest) = word.split_once(':').ok_or_else(nameless)?;
        let rest = if scheme == "wwn" { rest.to_ascii_lowercase() } else { rest.to_owned() };
        let (name, partition) = split_partition(rest.trim());
        if rest.len() > NAME_MAX || rest.chars().any(|c| c.is_control()) {
            return Err(nameless());
        }
        let sign = match scheme {
            "wwn" => Sign::wwn(name),
            "serial" => Sign::serial(name),
            _ => None,
        };
        Ok(Self { sign: sign.ok_or_else(nameless)?, partition })
    }
}

/// A name, and the number behind its `-part`, which is as `/dev/disk/by-id` has it.
fn split_partition(name: &str) -> (&str, Option<u32>) {
    let number = |digits: &str| digits.parse().ok().filter(|number| *number > 0);
    match name.rsplit_once("-part") {
        Some((disk, digits)) if number(digits).is_some() => (disk, number(digits)),
        _ => (name, None),
    }
}

impl fmt::Display for DiskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sign {
            Sign::Wwn(name) => write!(f, "wwn:{name}")?,
            Sign::Serial(name) => write!(f, "serial:{name}")?,
        }
        self.partition.map_or(Ok(()), |number| write!(f, "-part{number}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_read_and_written() {
        for (word, canonical) in [
            ("wwn:0x5000c500a1b2c3d4", "wwn:0x5000c500a1b2c3d4"),
            ("wwn:naa.5000C500A1B2C3D4", "wwn:0x5000c500a1b2c3d4"),
            ("wwn:0x5000c500a1b2c3d4-part12", "wwn:0x5000c500a1b2c3d4-part12"),
            ("wwn:NAA.5000C500A1B2C3D4-PART2", "wwn:0x5000c500a1b2c3d4-part2"),
            ("wwn:eui.0025385B71", "wwn:eui.0025385b71"),
            ("wwn:t10.ATA   Samsung  SSD ", "wwn:t10.ata samsung ssd"),
            ("serial:S3Z8NB0K", "serial:S3Z8NB0K"),
            ("serial:4C53-part1", "serial:4C53-part1"),
            ("serial:WD-part", "serial:WD-part"),
            ("serial:WD-part0", "serial:WD-part0"),
        ] {
            assert_eq!(word.parse::<DiskName>().unwrap().to_string(), canonical, "{word}");
        }
    }

    #[test]
    fn a_name_that_says_nothing_is_refused() {
        let long = format!("serial:{}", "x".repeat(NAME_MAX + 1));
        for word in ["wwn:", "wwn:0x", "serial:  ", "serial:-part1", "serial:a\nb", "sda", &long] {
            let refused = word.parse::<DiskName>().unwrap_err();
            assert_eq!(refused, SpecError::NoDisk(word.into()));
        }
    }

    proptest! {
        #[test]
        fn the_canonical_form_reads_back(word in "(wwn|serial):[a-cN. x0-2-]{0,12}(-part[0-9]{1,2})?") {
            if let Ok(name) = word.parse::<DiskName>() {
                prop_assert_eq!(name.to_string().parse::<DiskName>(), Ok(name));
            }
        }
    }
}
