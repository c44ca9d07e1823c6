//! Standard output, for a person or for a script.

use std::env;
use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};

use crate::failure::Failure;

/// Writes to standard output, at once.
///
/// # Errors
/// Where it cannot be written; that its reader has gone is told apart, see [`Failure::writing_output`].
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    let written = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    written.map_err(|error| Failure::writing_output(&error))
}

/// The same with an end of line.
///
/// # Errors
/// Those of [`print()`].
pub(crate) fn print_line(text: impl fmt::Display) -> Result<(), Failure> {
    print(&format!("{text}\n"))
}

/// A value as a line of JSON.
///
/// # Errors
/// Those of [`print()`].
pub(super) fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let line = serde_json::to_string(value).expect("the vocabulary has string keys");
    print_line(line)
}

/// A line on standard error about something that does not stop the command.
pub(super) fn print_warning(text: impl fmt::Display) {
    // Where nobody reads it, the command goes on all the same.
    let _ = writeln!(io::stderr(), "warning: {text}");
}

/// A line on standard error for a person, where standard output has nothing to say.
pub(super) fn print_note(text: impl fmt::Display) {
    // Where nobody reads it, nothing is missing.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether text may have colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    /// A person looks at a terminal.
    On,
    /// A script reads, or the person wants none.
    Off,
}

impl Colours {
    /// What suits standard output; `NO_COLOR` is respected.
    pub(super) fn of_output() -> Self {
        let wanted = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        if wanted && io::stdout().is_terminal() { Self::On } else { Self::Off }
    }

    /// The text in a colour, where there are colours.
    pub(super) fn paint(self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Bold => "1",
            Colour::Good => "32",
            Colour::Busy => "36",
            Colour::Attention => "33",
            Colour::Bad => "31",
        };
        match self {
            Self::On => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Off => text.to_owned(),
        }
    }
}

/// What a colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    /// A heading.
    Bold,
    /// All is well.
    Good,
    /// Something is under way.
    Busy,
    /// A person may have to do something.
    Attention,
    /// Something is broken.
    Bad,
}

/// A number of bytes for a person: exact where it is a whole number of a unit, else to a tenth.
pub(super) fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let power = (63 - bytes.max(1).leading_zeros()) / 10;
    let (unit, scale) = (UNITS.get(power as usize).copied().unwrap_or("B"), 1_u128 << (10 * power));
    let tenths = (u128::from(bytes) * 10 + scale / 2) / scale;
    match tenths % 10 {
        0 => format!("{} {unit}", tenths / 10),
        tenth => format!("{}.{tenth} {unit}", tenths / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_a_person() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (64 << 20, "64 MiB"),
            ((64 << 20) + 1, "64 MiB"),
            (1 << 30, "1 GiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(human_size(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn colours_only_where_they_are_wanted() {
        assert_eq!(Colours::Off.paint(Colour::Bad, "failed"), "failed");
        assert_eq!(Colours::On.paint(Colour::Bad, "failed"), "\x1b[31mfailed\x1b[0m");
    }
}
