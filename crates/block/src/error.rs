//! Errors by what the caller should do about them.

use std::error::Error as StdError;
use std::fmt;

/// What a device answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The class of an error. A kind exists only where a caller acts differently on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The medium is not there any more. A volume takes this for a loss and goes on with its journal.
    Gone,
    /// The medium is there, but this range of it could not be read or written. Report it; do not retry.
    Medium,
    /// There is no room, or the range lies beyond the end for a write. Report it.
    NoSpace,
    /// The request itself is wrong: out of range, or misaligned. Report it; the caller has a bug.
    Invalid,
    /// The device cannot be written. Report it.
    ReadOnly,
    /// The device cannot do this operation at all. Use another one.
    Unsupported,
    /// Zeroes that must be quick would not be, and nothing is changed. Ask again without the hurry, or write.
    Slow,
    /// The device waited as long as it may for its medium or for room in the journal. May be retried later.
    TimedOut,
    /// An earlier failure is latched; nothing but an operator's action helps. Fail closed.
    PreviousFailure,
    /// The device is being stopped. Reconnect later.
    ShuttingDown,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone => "the medium is gone",
            Self::Medium => "the medium reports an error",
            Self::NoSpace => "no space",
            Self::Invalid => "the request is not valid",
            Self::ReadOnly => "the device is read-only",
            Self::Unsupported => "the device does not support this",
            Self::Slow => "zeroes are not quicker here than to write them",
            Self::TimedOut => "the wait ran out of time",
            Self::PreviousFailure => "an earlier failure stands",
            Self::ShuttingDown => "the device is being stopped",
        })
    }
}

/// An error of a device: a kind for the caller, context for the log, and the source.
///
/// `Display` gives the context where there is one, else the kind; never the source's text.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    context: Option<Box<str>>,
    offset: Option<u64>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of this kind, with what was being done and to what.
    pub fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self { context: Some(context.into().into_boxed_str()), ..kind.into() }
    }

    /// The same with the error that caused it.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same, found at this byte of the device and at none before it.
    #[must_use]
    pub const fn at(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    /// The same, of a device that begins `offset` bytes into another one, as an error of that.
    #[must_use]
    pub fn moved_by(mut self, offset: u64) -> Self {
        self.offset = self.offset.map(|at| at.saturating_add(offset));
        self
    }

    /// The first byte that it is about, where that is known.
    #[must_use]
    pub const fn offset(&self) -> Option<u64> {
        self.offset
    }

    /// What the caller should do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The context and every source on one line, for a log or a person.
    #[must_use]
    pub fn with_sources(&self) -> String {
        with_sources(self)
    }
}

/// An error and every source of it on one line.
#[must_use]
pub fn with_sources(error: &dyn StdError) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        line = format!("{line}: {source}");
        next = source.source();
    }
    line
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self { kind, context: None, offset: None, source: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.context {
            Some(context) => f.write_str(context),
            None => self.kind.fmt(f),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|s| s as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_each_cause_once() {
        let error = Error::new(ErrorKind::Gone, "cannot write 4096+512")
            .caused_by(std::io::Error::from(std::io::ErrorKind::StorageFull));
        assert_eq!(error.to_string(), "cannot write 4096+512");
        assert_eq!(error.with_sources(), "cannot write 4096+512: no storage space");
        assert_eq!(Error::from(ErrorKind::ReadOnly).to_string(), "the device is read-only");
    }

    #[test]
    fn a_place_moves_with_its_device() {
        let error = Error::new(ErrorKind::Medium, "bad sector");
        assert_eq!(error.at(7).moved_by(100).offset(), Some(107));
        assert_eq!(Error::from(ErrorKind::Medium).moved_by(100).offset(), None);
    }
}
