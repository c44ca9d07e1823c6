//! What a session counts of its requests.
//!
//! A session is the only one that writes its numbers, so that a number grows by a load and a store, without a locked
//! instruction or a cache line that is shared with other sessions; whoever reads them adds those of all sessions
//! up. The clock is read at most twice in a round: when its first request is taken, and when its first answer is counted.
//! What is answered at once waits for all that is carried out in the same round, and that is the latency it gets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hotbay_nbd::ErrorNumber;
use tokio::time::Instant;

use crate::traffic::{ERRORS, LATENCY_PLACES, Operation, Traffic, error_index, latency_place};

/// The numbers of one session.
#[derive(Debug, Default)]
pub(crate) struct Counters([OfOperation; Operation::ALL.len()]);

#[derive(Debug, Default)]
struct OfOperation {
    bytes: AtomicU64,
    errors: [AtomicU64; ERRORS.len()],
    latencies: [AtomicU64; LATENCY_PLACES],
    latency_sum_ns: AtomicU64,
}

/// Only for the one session that writes the number.
fn grow(number: &AtomicU64, by: u64) {
    number.store(number.load(Relaxed).wrapping_add(by), Relaxed);
}

impl OfOperation {
    fn note_latency(&self, latency: Duration, requests: u64) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        grow(&self.latencies[latency_place(latency)], requests);
        grow(&self.latency_sum_ns, nanos.saturating_mul(requests));
    }
}

impl Counters {
    /// What they are now. Requests that are being counted meanwhile are in some of the numbers.
    pub(crate) fn read(&self) -> Traffic {
        let mut traffic = Traffic::default();
        for (to, from) in traffic.each_mut().zip(&self.0) {
            to.bytes = from.bytes.load(Relaxed);
            read_each(&mut to.errors, &from.errors);
            read_each(&mut to.latencies, &from.latencies);
            to.latency_sum = Duration::from_nanos(from.latency_sum_ns.load(Relaxed));
        }
        traffic
    }
}

fn read_each(to: &mut [u64], from: &[AtomicU64]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = from.load(Relaxed));
}

/// What is counted of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    operation: Operation,
    bytes: u64,
    taken: Instant,
}

/// The counting of one session.
#[derive(Debug)]
pub(crate) struct Tally {
    counters: Arc<Counters>,
    /// When the first request of this round was taken.
    taken: Option<Instant>,
    /// When the first answer of this round was counted.
    answered: Option<Instant>,
    /// The requests that were taken and answered in this round, whose time is not over yet.
    this_round: [u64; Operation::ALL.len()],
}

impl Tally {
    pub(crate) fn new(counters: Arc<Counters>) -> Self {
        Self { counters, taken: None, answered: None, this_round: Default::default() }
    }

    /// A request is taken.
    pub(super) fn take(&mut self, operation: Operation, bytes: u64) -> Counted {
        let taken = *self.taken.get_or_insert_with(Instant::now);
        Counted { operation, bytes, taken }
    }

    /// A request is answered.
    pub(super) fn answer(&mut self, counted: Counted, error: Option<ErrorNumber>) {
        let Counted { operation, bytes, taken } = counted;
        let counters = &self.counters.0[operation.index()];
        match error {
            None => grow(&counters.bytes, bytes),
            Some(error) => grow(&counters.errors[error_index(error)], 1),
        }
        if self.taken == Some(taken) {
            self.this_round[operation.index()] += 1;
        } else {
            let answered = *self.answered.get_or_insert_with(Instant::now);
            counters.note_latency(answered.duration_since(taken), 1);
        }
    }

    /// All that can be answered in this round is.
    pub(super) fn end_round(&mut self) {
        let answered = self.answered.take();
        let Some(taken) = self.taken.take() else { return };
        let mut latency = None;
        for (requests, counters) in self.this_round.iter_mut().zip(&self.counters.0) {
            let requests = std::mem::take(requests);
            if requests > 0 {
                let answered = || answered.unwrap_or_else(Instant::now).duration_since(taken);
                counters.note_latency(*latency.get_or_insert_with(answered), requests);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn what_is_answered_at_once_takes_as_long_as_its_round() {
        let mut tally = Tally::new(Arc::default());
        let first = tally.take(Operation::Read, 4096);
        tokio::time::advance(MILLI).await;
        let second = tally.take(Operation::Read, 512);
        tally.answer(first, None);
        tally.answer(second, Some(ErrorNumber::Io));
        tokio::time::advance(MILLI).await;
        assert_eq!(tally.counters.read().of(Operation::Read).requests(), 0);
        tally.end_round();
        let traffic = tally.counters.read();
        let reads = traffic.of(Operation::Read);
        assert_eq!((reads.requests(), reads.bytes), (2, 4096));
        assert_eq!(reads.errors[error_index(ErrorNumber::Io)], 1);
        assert_eq!(reads.latency_sum, 4 * MILLI);
        assert_eq!(traffic.of(Operation::Write).requests(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_answered_later_has_a_time_of_its_own() {
        let mut tally = Tally::new(Arc::default());
        let first = tally.take(Operation::Flush, 0);
        tally.end_round();
        tokio::time::advance(5 * MILLI).await;
        let second = tally.take(Operation::Write, 512);
        tally.answer(first, None);
        tokio::time::advance(MILLI).await;
        tally.end_round();
        tokio::time::advance(MILLI).await;
        tally.answer(second, None);
        tally.end_round();
        let traffic = tally.counters.read();
        assert_eq!(traffic.of(Operation::Flush).latency_sum, 5 * MILLI);
        assert_eq!(traffic.of(Operation::Write).latency_sum, 2 * MILLI);
        assert_eq!(traffic.of(Operation::Write).latencies[latency_place(2 * MILLI)], 1);
    }
}
