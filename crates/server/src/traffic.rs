//! What went through sessions, as numbers that only grow.

use std::time::Duration;

use hotbay_nbd::{Command, ErrorNumber};

/// What a client can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Read bytes.
    Read,
    /// Write bytes.
    Write,
    /// Make bytes zero.
    Zero,
    /// Give bytes up.
    Trim,
    /// Read bytes ahead.
    Cache,
    /// Bring what was answered to stable storage.
    Flush,
    /// Tell what is known of bytes.
    Status,
    /// What was refused before anybody looked at what it is.
    Other,
}

impl Operation {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 8] = [
        Self::Read,
        Self::Write,
        Self::Zero,
        Self::Trim,
        Self::Cache,
        Self::Flush,
        Self::Status,
        Self::Other,
    ];

    /// The word for it in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Zero => "zero",
            Self::Trim => "trim",
            Self::Cache => "cache",
            Self::Flush => "flush",
            Self::Status => "status",
            Self::Other => "other",
        }
    }

    pub(crate) const fn of(command: Command) -> Self {
        match command {
            Command::Read => Self::Read,
            Command::Write => Self::Write,
            Command::WriteZeroes => Self::Zero,
            Command::Trim => Self::Trim,
            Command::Cache => Self::Cache,
            Command::Flush => Self::Flush,
            Command::BlockStatus => Self::Status,
            Command::Disconnect | Command::Other(_) => Self::Other,
        }
    }

    /// Its place in [`Self::ALL`].
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

/// Every error that a request can be answered with, and its name in metrics.
pub const ERRORS: [(ErrorNumber, &str); 8] = [
    (ErrorNumber::NotPermitted, "EPERM"),
    (ErrorNumber::Io, "EIO"),
    (ErrorNumber::NoMemory, "ENOMEM"),
    (ErrorNumber::Invalid, "EINVAL"),
    (ErrorNumber::NoSpace, "ENOSPC"),
    (ErrorNumber::Overflow, "EOVERFLOW"),
    (ErrorNumber::NotSupported, "ENOTSUP"),
    (ErrorNumber::ShuttingDown, "ESHUTDOWN"),
];

/// The place of an error in [`ERRORS`].
pub(crate) fn error_index(error: ErrorNumber) -> usize {
    ERRORS.iter().position(|(listed, _)| *listed == error).unwrap_or_default()
}

/// How many bounds latencies are counted by: 1 µs, and twice as much each time, up to 34 s.
const BOUNDS: usize = 26;
/// The same, and one place for what takes longer.
pub(crate) const LATENCY_PLACES: usize = BOUNDS + 1;

/// The upper bounds of the latencies that are told apart, each included in its own.
pub fn latency_bounds() -> impl Iterator<Item = Duration> {
    (0..BOUNDS).map(|power| Duration::from_micros(1 << power))
}

/// The first place whose bound a latency does not exceed; the last one where there is none.
pub(crate) fn latency_place(latency: Duration) -> usize {
    let micros = latency.as_nanos().div_ceil(1000);
    let power = u128::BITS - micros.saturating_sub(1).leading_zeros();
    usize::try_from(power).unwrap_or(BOUNDS).min(BOUNDS)
}

/// The answered requests of one operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperationTraffic {
    /// The bytes of their ranges, of those that succeeded.
    pub bytes: u64,
    /// How many were answered with each error, in the order of [`ERRORS`].
    pub errors: [u64; ERRORS.len()],
    /// How many took no longer than each of [`latency_bounds`], and longer than the one before; the last number
    /// is of those that took longer than all.
    pub latencies: [u64; LATENCY_PLACES],
    /// The time that all took together.
    pub latency_sum: Duration,
}

impl OperationTraffic {
    /// How many were answered, with an error or without.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.latencies.iter().sum()
    }

    fn add(&mut self, other: &Self) {
        self.bytes += other.bytes;
        add_each(&mut self.errors, &other.errors);
        add_each(&mut self.latencies, &other.latencies);
        self.latency_sum += other.latency_sum;
    }
}

fn add_each(to: &mut [u64], from: &[u64]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}

/// The answered requests of an export, or of one session. A latency is the time from when a request was taken from the
/// socket to when its reply was ready to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic([OperationTraffic; Operation::ALL.len()]);

impl Traffic {
    /// Those of one operation.
    #[must_use]
    pub const fn of(&self, operation: Operation) -> &OperationTraffic {
        &self.0[operation.index()]
    }

    pub(crate) fn each_mut(&mut self) -> impl Iterator<Item = &mut OperationTraffic> {
        self.0.iter_mut()
    }

    /// Adds another one's.
    pub(crate) fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(to, from)| to.add(from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_is_counted_at_the_first_bound_that_it_does_not_exceed() {
        let bounds: Vec<Duration> = latency_bounds().collect();
        let nano = Duration::from_nanos(1);
        assert_eq!(latency_place(Duration::ZERO), 0);
        for (place, bound) in bounds.iter().enumerate() {
            assert_eq!(latency_place(*bound), place);
            assert_eq!(latency_place(*bound + nano), place + 1);
        }
        assert_eq!(latency_place(Duration::MAX), BOUNDS);
    }

    #[test]
    fn each_operation_and_each_error_has_a_place() {
        for (index, operation) in Operation::ALL.into_iter().enumerate() {
            assert_eq!(operation.index(), index);
        }
        for (index, (error, _)) in ERRORS.into_iter().enumerate() {
            assert_eq!(error_index(error), index);
        }
    }
}
