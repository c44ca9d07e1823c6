//! What was measured: latencies in histograms, so that it takes the same memory however long it runs.

use std::time::Duration;

use hdrhistogram::Histogram;
use hotbay_nbd::ErrorNumber;

use crate::failure::Failure;

/// Latencies above this are counted as this.
const LATENCY_NS_MAX: u64 = 3600 * 1_000_000_000;

/// Latencies are kept to so many digits.
const DIGITS: u8 = 3;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
    Flush,
}

impl Kind {
    /// In the order in which they are shown.
    pub(super) const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Flush];

    /// For people, and as a key for scripts.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Flush => "flush",
        }
    }
}

/// The requests of one kind that were answered.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    latencies_ns: Histogram<u32>,
    /// Answers that were errors; their latencies are not among the others.
    pub(super) errors: u64,
}

impl Tally {
    fn new() -> Self {
        let latencies_ns = Histogram::new_with_bounds(1, LATENCY_NS_MAX, DIGITS)
            .expect("the bounds are constant and tested");
        Self { latencies_ns, errors: 0 }
    }

    /// How many were answered without an error.
    pub(super) fn requests(&self) -> u64 {
        self.latencies_ns.len()
    }

    /// The latency that this share of the requests did not exceed, in nanoseconds.
    pub(super) fn quantile_ns(&self, share: f64) -> u64 {
        self.latencies_ns.value_at_quantile(share)
    }

    /// The longest latency in nanoseconds.
    pub(super) fn max_ns(&self) -> u64 {
        self.latencies_ns.max()
    }

    fn add(&mut self, other: &Self) {
        self.latencies_ns.add(&other.latencies_ns).expect("all have the same bounds");
        self.errors += other.errors;
    }
}

/// The first answer that was an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FirstError {
    /// What was asked for.
    pub(super) kind: Kind,
    /// The first byte that it was about.
    pub(super) offset: u64,
    /// What was answered.
    pub(super) error: ErrorNumber,
}

/// What one session measured, or all of them.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    tallies: [Tally; 3],
    /// The first error that was seen.
    pub(super) first_error: Option<FirstError>,
}

impl Measured {
    pub(super) fn new() -> Self {
        Self { tallies: [Tally::new(), Tally::new(), Tally::new()], first_error: None }
    }

    /// What there is of one kind.
    pub(super) const fn tally(&self, kind: Kind) -> &Tally {
        let [read, write, flush] = &self.tallies;
        match kind {
            Kind::Read => read,
            Kind::Write => write,
            Kind::Flush => flush,
        }
    }

    const fn tally_mut(&mut self, kind: Kind) -> &mut Tally {
        let [read, write, flush] = &mut self.tallies;
        match kind {
            Kind::Read => read,
            Kind::Write => write,
            Kind::Flush => flush,
        }
    }

    /// Counts an answer.
    pub(super) fn answered(&mut self, kind: Kind, latency: Duration) {
        let latency_ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.tally_mut(kind).latencies_ns.saturating_record(latency_ns);
    }

    /// Counts an answer that is an error.
    pub(super) fn refused(&mut self, kind: Kind, offset: u64, error: ErrorNumber) {
        self.tally_mut(kind).errors += 1;
        self.first_error.get_or_insert(FirstError { kind, offset, error });
    }

    /// Answers with an error, of all kinds.
    pub(super) fn errors(&self) -> u64 {
        self.tallies.iter().map(|tally| tally.errors).sum()
    }

    /// Answers of all kinds.
    pub(super) fn answers(&self) -> u64 {
        self.tallies.iter().map(Tally::requests).sum::<u64>() + self.errors()
    }

    fn add(&mut self, other: &Self) {
        for (own, more) in self.tallies.iter_mut().zip(&other.tallies) {
            own.add(more);
        }
        self.first_error = self.first_error.or(other.first_error);
    }
}

/// How a session ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// What it measured until then.
    pub(super) measured: Measured,
    /// What its thread used of a processor.
    pub(super) cpu: Duration,
    /// Why it ended before its time.
    pub(super) failure: Option<Failure>,
}

/// What came of the load.
#[derive(Debug)]
pub(super) struct Outcome {
    /// From its begin to the last answer.
    pub(super) elapsed: Duration,
    /// What all sessions measured.
    pub(super) measured: Measured,
    /// What the session that used most used of a processor: near `elapsed`, it was the client that was measured.
    pub(super) busiest_cpu: Duration,
    /// The first session's that ended before its time.
    failure: Option<Failure>,
}

impl Outcome {
    /// That of all sessions.
    pub(super) fn new(elapsed: Duration, sessions: Vec<Ended>) -> Self {
        let (measured, busiest_cpu, failure) = (Measured::new(), Duration::ZERO, None);
        let mut outcome = Self { elapsed, measured, busiest_cpu, failure };
        for session in sessions {
            outcome.measured.add(&session.measured);
            outcome.busiest_cpu = outcome.busiest_cpu.max(session.cpu);
            outcome.failure = outcome.failure.or(session.failure);
        }
        outcome
    }

    /// # Errors
    /// Where a session ended before its time, or an answer was an error.
    pub(super) fn verdict(self) -> Result<(), Failure> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let Some(FirstError { kind, offset, error }) = self.measured.first_error else {
            return Ok(());
        };
        let (errors, answers) = (self.measured.errors(), self.measured.answers());
        let first = match kind {
            Kind::Flush => String::from("a flush"),
            Kind::Read | Kind::Write => format!("a {} at {offset}", kind.name()),
        };
        Err(Failure::new(format!(
            "{errors} of {answers} requests were answered with an error; the first, {first}: {error}"
        )))
    }
}
