//! How fast something goes, from numbers that only grow.

use std::collections::VecDeque;
use std::time::Instant;

use crate::control::{ExportStatus, WorkDone};

/// How many steps are remembered: a minute and more.
const STEPS_MAX: usize = 160;

/// The speed of an export, step by step, the newest last.
#[derive(Debug, Default)]
pub(super) struct Rates {
    last: Option<(Instant, Counted)>,
    pub(super) steps: VecDeque<Step>,
}

/// One step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Step {
    pub(super) read_bytes_per_s: u64,
    pub(super) written_bytes_per_s: u64,
    pub(super) requests_per_s: u64,
    /// The mean of the requests that were answered in it; 0 where none was.
    pub(super) latency_us: u64,
}

#[derive(Clone, Copy, Debug)]
struct Counted {
    read_bytes: u64,
    written_bytes: u64,
    requests: u64,
    time_us: u64,
}

impl Counted {
    fn of(export: &ExportStatus) -> Self {
        let ExportStatus { reads, writes, flushes, others, .. } = export;
        let all = [reads, writes, flushes, others];
        Self {
            read_bytes: reads.bytes,
            written_bytes: writes.bytes,
            requests: all.iter().map(|operation| operation.requests).sum(),
            time_us: all.iter().map(|operation| operation.time_us).sum(),
        }
    }
}

impl Rates {
    /// Takes what an export has counted until now. Numbers that are smaller than before are those of another daemon.
    pub(super) fn take(&mut self, export: &ExportStatus, now: Instant) {
        let counted = Counted::of(export);
        if let Some((then, before)) = self.last.replace((now, counted)) {
            let per_s = |grown: u64| per_second(grown, now, then);
            let requests = counted.requests.saturating_sub(before.requests);
            self.steps.push_back(Step {
                read_bytes_per_s: per_s(counted.read_bytes.saturating_sub(before.read_bytes)),
                written_bytes_per_s: per_s(
                    counted.written_bytes.saturating_sub(before.written_bytes),
                ),
                requests_per_s: per_s(requests),
                latency_us: counted
                    .time_us
                    .saturating_sub(before.time_us)
                    .checked_div(requests)
                    .unwrap_or_default(),
            });
            if self.steps.len() > STEPS_MAX {
                self.steps.pop_front();
            }
        }
    }

    /// The newest step.
    pub(super) fn latest(&self) -> Step {
        self.steps.back().copied().unwrap_or_default()
    }
}

fn per_second(grown: u64, now: Instant, then: Instant) -> u64 {
    let millis = now.duration_since(then).as_millis().max(1);
    u64::try_from(u128::from(grown) * 1000 / millis).unwrap_or(u64::MAX)
}

/// When a replay or a copy will be done, by how it went since it was first seen.
#[derive(Debug)]
pub(super) struct Forecast {
    begun: Instant,
    done_then: u64,
}

impl Forecast {
    pub(super) const fn new(work: WorkDone, now: Instant) -> Self {
        Self { begun: now, done_then: work.done_bytes }
    }

    /// How many seconds are left; `None` while nothing tells.
    pub(super) fn seconds_left(&self, work: WorkDone, now: Instant) -> Option<u64> {
        let done = work.done_bytes.checked_sub(self.done_then)?;
        let rate = per_second(done, now, self.begun);
        let left = work.total_bytes.saturating_sub(work.done_bytes);
        (rate > 0).then(|| left.div_ceil(rate))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::control::OperationStatus;

    fn export(requests: u64, bytes: u64, time_us: u64) -> ExportStatus {
        let reads = OperationStatus { requests, bytes, errors: 0, time_us };
        ExportStatus { name: "usb".into(), sessions: 1, reads, ..ExportStatus::default() }
    }

    #[test]
    fn a_step_is_what_was_done_in_its_time() {
        let (mut rates, begun) = (Rates::default(), Instant::now());
        let half = Duration::from_millis(500);
        rates.take(&export(10, 4096, 100), begun);
        assert!(rates.steps.is_empty(), "one number tells no speed");
        rates.take(&export(20, 8192, 600), begun + half);
        let step =
            Step { read_bytes_per_s: 8192, requests_per_s: 20, latency_us: 50, ..Step::default() };
        assert_eq!(rates.latest(), step);
        rates.take(&export(0, 0, 0), begun + 2 * half);
        assert_eq!(rates.latest(), Step::default(), "the daemon was started again");
        for step in 3..1000 {
            rates.take(&export(0, 0, 0), begun + step * half);
        }
        assert_eq!(rates.steps.len(), STEPS_MAX);
    }

    #[test]
    fn the_time_left_is_told_by_what_was_done() {
        let begun = Instant::now();
        let work = |done_bytes| WorkDone { done_bytes, total_bytes: 1000 };
        let forecast = Forecast::new(work(200), begun);
        let later = begun + Duration::from_secs(2);
        assert_eq!(forecast.seconds_left(work(200), later), None);
        assert_eq!(forecast.seconds_left(work(400), later), Some(6));
        assert_eq!(forecast.seconds_left(work(100), later), None);
    }
}
