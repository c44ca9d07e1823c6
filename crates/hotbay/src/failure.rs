//! What a person reads when something was refused or failed, and the number that a script sees.

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use hotbay_block::with_sources;

/// Why a command ends without having done its work.
///
/// It is written for a person: the message names the thing and the value, the hint says what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    ending: Ending,
}

/// How a command that did not do its work ends. The numbers are part of the command line's contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Refused or failed: exit status 1. (Wrong usage is 2, and is told by the parser of the command line.)
    Failed,
    /// `wait` ran out of time: exit status 3.
    TimedOut,
    /// It was told already, by another process: exit status 1.
    Told,
    /// Whoever read standard output has gone, as in `hotbay events | head -1`: nothing is wrong, exit status 0.
    ReaderGone,
}

impl Failure {
    /// Something was refused or failed: lower case, no full stop, the values in it.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, ending: Ending::Failed }
    }

    /// What was waited for did not come in time.
    pub(crate) fn timed_out(message: impl Into<String>) -> Self {
        Self { ending: Ending::TimedOut, ..Self::new(message) }
    }

    /// It failed, and whoever did it has said why.
    pub(crate) fn told() -> Self {
        Self { ending: Ending::Told, ..Self::new("it was told already") }
    }

    /// What was being done, and why it failed, with all causes.
    pub(crate) fn from_error(doing: &str, error: &dyn std::error::Error) -> Self {
        Self::new(format!("{doing}: {}", with_sources(error)))
    }

    /// Standard output could not be written.
    pub(crate) fn writing_output(error: &io::Error) -> Self {
        let failure = Self::new(format!("cannot write to standard output: {error}"));
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self { ending: Ending::ReaderGone, ..failure },
            _ => failure,
        }
    }

    /// The same, with what to do about it.
    #[must_use]
    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The same with a hint for one who may not do it, where that is the reason.
    #[must_use]
    pub(crate) fn with_hint_if_denied(self, error: &io::Error, hint: &str) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied => self.with_hint(hint),
            _ => self,
        }
    }

    /// What went wrong.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it, where there is something to do.
    pub(crate) fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// What standard error gets; empty where there is nothing to say.
    fn report(&self) -> String {
        let Self { message, hint, ending } = self;
        match (ending, hint) {
            (Ending::ReaderGone | Ending::Told, _) => String::new(),
            (_, None) => format!("error: {message}\n"),
            (_, Some(hint)) => format!("error: {message}\nhint: {hint}\n"),
        }
    }

    /// Tells it on standard error and gives the exit status.
    pub(crate) fn tell(&self) -> ExitCode {
        // Where nobody reads it, the exit status still tells.
        let _ = io::stderr().write_all(self.report().as_bytes());
        match self.ending {
            Ending::Failed | Ending::Told => ExitCode::from(1),
            Ending::TimedOut => ExitCode::from(3),
            Ending::ReaderGone => ExitCode::SUCCESS,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.hint.iter().try_for_each(|hint| write!(f, " ({hint})"))
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_an_error_and_a_hint() {
        let failure = Failure::new("no volume is named usv").with_hint("did you mean usb?");
        assert_eq!(failure.report(), "error: no volume is named usv\nhint: did you mean usb?\n");
        assert_eq!(failure.tell(), ExitCode::from(1));
        assert_eq!(Failure::timed_out("too late").tell(), ExitCode::from(3));
    }

    #[test]
    fn a_reader_who_has_gone_is_no_error() {
        let gone = Failure::writing_output(&io::ErrorKind::BrokenPipe.into());
        assert_eq!((gone.report(), gone.tell()), (String::new(), ExitCode::SUCCESS));
        let full = Failure::writing_output(&io::ErrorKind::StorageFull.into());
        assert_eq!(full.report(), "error: cannot write to standard output: no storage space\n");
        assert_eq!(full.tell(), ExitCode::from(1));
    }
}
