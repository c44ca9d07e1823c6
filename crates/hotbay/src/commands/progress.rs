//! How far long work is: a bar on a terminal, plain lines in a pipe; on standard error either way.

use std::io::{self, IsTerminal as _, Write as _};

use indicatif::{ProgressBar, ProgressStyle};

use super::output::human_size;
use crate::control::Progress;

/// A line is printed each time this much more of the work is done, in percent.
const STEP_PERCENT: u64 = 10;

/// Shows progress as it comes.
pub(super) enum ProgressDisplay {
    /// On a terminal; the bar appears with the first word of progress and goes when this is dropped.
    Terminal(Option<ProgressBar>),
    /// In a pipe.
    Lines(Steps),
}

impl ProgressDisplay {
    /// What suits standard error.
    pub(super) fn new() -> Self {
        if io::stderr().is_terminal() {
            Self::Terminal(None)
        } else {
            Self::Lines(Steps::default())
        }
    }

    /// Shows how far it is.
    pub(super) fn show(&mut self, progress: &Progress) {
        match self {
            Self::Terminal(bar) => {
                let bar = bar.get_or_insert_with(|| new_bar(progress));
                bar.set_length(progress.work.total_bytes);
                bar.set_position(progress.work.done_bytes);
            }
            Self::Lines(steps) => {
                if let Some(line) = steps.line(progress) {
                    // Nobody has to read it.
                    let _ = writeln!(io::stderr(), "{line}");
                }
            }
        }
    }
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        if let Self::Terminal(Some(bar)) = self {
            bar.finish_and_clear();
        }
    }
}

fn new_bar(progress: &Progress) -> ProgressBar {
    let template =
        "{msg} [{bar:30}] {percent:>3}% {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    let style =
        ProgressStyle::with_template(template).expect("the template is constant and tested");
    let bar = ProgressBar::new(progress.work.total_bytes).with_style(style.progress_chars("=> "));
    bar.set_message(format!("{} {}", progress.state, progress.volume));
    bar
}

/// Which steps were told already.
#[derive(Debug, Default)]
pub(super) struct Steps {
    next_percent: u64,
}

impl Steps {
    /// A line, where one is due: at the start, and at each further step.
    fn line(&mut self, progress: &Progress) -> Option<String> {
        let Progress { volume, state, work } = progress;
        let percent = percent(work.done_bytes, work.total_bytes);
        if percent < self.next_percent {
            return None;
        }
        self.next_percent = (percent / STEP_PERCENT + 1) * STEP_PERCENT;
        let (done, total) = (human_size(work.done_bytes), human_size(work.total_bytes));
        Some(format!("{state} {volume}: {percent}% ({done} of {total})"))
    }
}

/// How much of the whole is done; nothing of nothing is all of it.
pub(super) fn percent(done_bytes: u64, total_bytes: u64) -> u64 {
    let hundredfold = u128::from(done_bytes.min(total_bytes)) * 100;
    u64::try_from(hundredfold.checked_div(total_bytes.into()).unwrap_or(100)).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Work, WorkDone};

    fn at(done_bytes: u64) -> Progress {
        let work = WorkDone { done_bytes, total_bytes: 200 };
        Progress { volume: "usb".into(), state: Work::Replaying, work }
    }

    #[test]
    fn a_line_for_each_tenth() {
        let mut steps = Steps::default();
        let lines: Vec<_> = (0..=200).filter_map(|done| steps.line(&at(done))).collect();
        assert_eq!(lines.len(), 11, "{lines:?}");
        assert_eq!(lines[0], "replaying usb: 0% (0 B of 200 B)");
        assert_eq!(lines[10], "replaying usb: 100% (200 B of 200 B)");
    }

    #[test]
    fn work_that_falls_behind_is_not_told_again() {
        let mut steps = Steps::default();
        assert!(steps.line(&at(100)).is_some());
        assert!(steps.line(&at(40)).is_none());
        assert!(steps.line(&at(120)).is_some());
    }

    #[test]
    fn percent_of_anything() {
        assert_eq!(percent(0, 0), 100);
        assert_eq!(percent(u64::MAX, u64::MAX), 100);
        assert_eq!(percent(5, 3), 100);
    }

    #[test]
    fn the_bar_can_be_made() {
        assert_eq!(new_bar(&at(0)).length(), Some(200));
    }
}
