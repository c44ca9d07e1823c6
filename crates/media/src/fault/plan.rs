//! The faults that are armed for one volume, and whether its medium is away by one of them.

use std::sync::{Arc, Weak};
use std::time::Duration;

use hotbay_block::{BoxFuture, Error, ErrorKind, Extent, Medium, Result};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::medium::{FaultyMedium, Stay, change_behind_its_back};
use super::spec::{Action, AsWhat, FaultSpec, HowOften, Op, Return};
use crate::{ByteSize, MemoryMedium};

/// So many faults may be armed for a volume.
const FAULTS_MAX: usize = 64;

/// The faults of one volume. They count on while its media come and go.
#[derive(Debug)]
pub struct FaultPlan {
    armed: Mutex<Armed>,
    /// How often they were cleared. What hangs waits for the next time.
    clearings: watch::Sender<u64>,
    /// How many requests are still doing what a fault does that takes the medium away.
    taking_away: Arc<watch::Sender<u64>>,
}

/// A request that does what a fault does that takes the medium away, while it is held.
#[derive(Debug)]
pub(super) struct TakingAway(Arc<watch::Sender<u64>>);

impl TakingAway {
    fn begin(count: &Arc<watch::Sender<u64>>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(Arc::clone(count))
    }
}

impl Drop for TakingAway {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[derive(Debug, Default)]
struct Armed {
    rules: Vec<Rule>,
    away: Option<Away>,
    /// What is in the bay is another medium, until the faults are cleared.
    exchanged: bool,
    /// The media that were opened, as long as they are.
    stays: Vec<Weak<Stay>>,
}

#[derive(Debug)]
struct Rule {
    spec: FaultSpec,
    armed_at: Instant,
    seen: u64,
    fired: u64,
}

#[derive(Clone, Copy, Debug)]
struct Away {
    /// `None` until the faults are cleared.
    until: Option<Instant>,
    /// What comes then, and where the fault was aimed.
    comes: AsWhat,
    at: Option<Extent>,
}

/// A fault that is armed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArmedFault {
    /// The fault, in its canonical form.
    pub fault: String,
    /// How many requests it counted.
    pub seen: u64,
    /// How often it happened.
    pub fired: u64,
}

/// More faults than may be armed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no more than {FAULTS_MAX} faults may be armed for a volume")]
pub struct TooManyFaults;

/// What a request has met.
#[derive(Debug, Default)]
pub(super) struct Struck {
    pub(super) holds: Vec<Hold>,
    pub(super) end: Option<End>,
    /// Where a bit is to be turned.
    pub(super) corrupt: Option<u64>,
    /// What is changed is to be kept as it was before, because it may be lost; the number tells one such time from the
    /// next.
    pub(super) keep_old: Option<u64>,
    /// Where it takes the medium away: held until that is done.
    pub(super) taking_away: Option<TakingAway>,
}

/// What a request waits for before it is carried out.
#[derive(Debug)]
pub(super) enum Hold {
    For(Duration),
    /// For so long, or until the faults are cleared.
    Hang(Option<Duration>, watch::Receiver<u64>),
}

/// How a request ends that is not carried out.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Error(rustix::io::Errno),
    Torn(Option<u64>),
    Vanish,
    LoseUnsynced,
}

impl Struck {
    pub(super) fn is_nothing(&self) -> bool {
        self.holds.is_empty()
            && self.end.is_none()
            && self.corrupt.is_none()
            && self.keep_old.is_none()
    }
}

impl Hold {
    pub(super) async fn wait(self) {
        match self {
            Self::For(time) | Self::Hang(Some(time), _) if time.is_zero() => {}
            Self::For(time) => sleep(time).await,
            Self::Hang(time, mut clearings) => {
                let cleared = async {
                    // An error says that the plan is gone, and nobody can clear it.
                    let _ = clearings.changed().await;
                };
                match time {
                    None => cleared.await,
                    Some(time) => tokio::select! {
                        () = cleared => {}
                        () = sleep(time) => {}
                    },
                }
            }
        }
    }
}

impl Rule {
    /// Counts a request, and says whether the fault happens to it.
    fn meets(&mut self, op: Op, extent: Option<Extent>) -> bool {
        let spec = &self.spec;
        let in_range = spec.at.is_none_or(|at| extent.is_some_and(|extent| at.overlaps(extent)));
        if !spec.on.counts(op) || !in_range || self.armed_at.elapsed() < spec.after {
            return false;
        }
        self.seen += 1;
        let fires = match spec.how_often {
            HowOften::Once => self.fired == 0 && self.seen >= spec.number,
            HowOften::Always => self.seen >= spec.number,
            HowOften::Every => self.seen.is_multiple_of(spec.number),
        };
        self.fired += u64::from(fires);
        fires
    }

    fn is_spent(&self) -> bool {
        self.spec.how_often == HowOften::Once && self.fired > 0
    }

    fn wants_old_content(&self) -> bool {
        matches!(self.spec.action, Action::LoseUnsynced(_)) && !self.is_spent()
    }
}

impl Default for FaultPlan {
    fn default() -> Self {
        Self {
            armed: Mutex::default(),
            clearings: watch::Sender::new(0),
            taking_away: Arc::new(watch::Sender::new(0)),
        }
    }
}

impl FaultPlan {
    /// Arms faults beside those that are armed. They count from now on.
    ///
    /// # Errors
    /// Where there would be too many; then none of them is armed.
    pub fn arm(&self, specs: Vec<FaultSpec>) -> std::result::Result<(), TooManyFaults> {
        let mut armed = self.armed.lock();
        if armed.rules.len() + specs.len() > FAULTS_MAX {
            return Err(TooManyFaults);
        }
        let armed_at = Instant::now();
        let rules = specs.into_iter().map(|spec| Rule { spec, armed_at, seen: 0, fired: 0 });
        armed.rules.extend(rules);
        armed.each_stay(Stay::wake);
        Ok(())
    }

    /// Ends all faults: what hangs is carried out now, a medium that is away may come back, and what comes is the medium
    /// itself. A medium that was lost by a fault stays lost until it is opened again.
    pub fn clear(&self) {
        let mut armed = self.armed.lock();
        armed.rules.clear();
        armed.away = None;
        armed.exchanged = false;
        armed.each_stay(Stay::rest);
        drop(armed);
        self.clearings.send_modify(|count| *count += 1);
    }

    /// What is armed, in the order in which it was.
    #[must_use]
    pub fn armed(&self) -> Vec<ArmedFault> {
        let armed = self.armed.lock();
        let rules = armed.rules.iter();
        rules
            .map(|Rule { spec, seen, fired, .. }| ArmedFault {
                fault: spec.to_string(),
                seen: *seen,
                fired: *fired,
            })
            .collect()
    }

    /// Whether a fault keeps the medium away now.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.armed.lock().away.is_some_and(|away| !away.is_over())
    }

    /// Waits until the medium is as a fault leaves it that takes it away: torn, or as it was at its last sync.
    pub async fn until_taken_away(&self) {
        let mut taking_away = self.taking_away.subscribe();
        // The sender is held here.
        let _ = taking_away.wait_for(|count| *count == 0).await;
    }

    /// Counts what is about to be done, and says what happens to it. A medium that vanishes by it is gone at once.
    pub(super) fn strike(&self, stay: &Stay, op: Op, extent: Option<Extent>) -> Struck {
        let mut armed = self.armed.lock();
        let mut struck = armed.strike(op, extent, &self.clearings);
        if armed.rules.iter().any(Rule::wants_old_content)
            || matches!(struck.end, Some(End::LoseUnsynced))
        {
            struck.keep_old = Some(*self.clearings.borrow());
        }
        if struck.end.is_some_and(End::takes_away) {
            struck.taking_away = Some(TakingAway::begin(&self.taking_away));
            stay.vanish();
            armed.each_stay(Stay::vanish);
        }
        struck
    }

    /// Opens a medium as the faults allow. What it gives has them before it.
    ///
    /// # Errors
    /// Those of opening it, and those that a fault brings about.
    pub(crate) fn open(
        self: Arc<Self>,
        opening: BoxFuture<'static, Result<Arc<dyn Medium>>>,
    ) -> BoxFuture<'static, Result<Arc<dyn Medium>>> {
        Box::pin(async move {
            self.meet_opening().await?;
            self.until_taken_away().await;
            let mut medium = opening.await?;
            if let Some(away) = self.come_back() {
                match away.comes {
                    AsWhat::Changed => change_behind_its_back(medium.as_ref(), away.at).await?,
                    AsWhat::Itself | AsWhat::Blank => {}
                }
            }
            if self.armed.lock().exchanged {
                medium = Arc::new(MemoryMedium::new(ByteSize(medium.info().size_bytes)));
            }
            Ok(Arc::new(FaultyMedium::new(self.stay(medium))) as Arc<dyn Medium>)
        })
    }

    async fn meet_opening(&self) -> Result<()> {
        let struck = self.armed.lock().strike(Op::Open, None, &self.clearings);
        for hold in struck.holds {
            hold.wait().await;
        }
        match struck.end {
            Some(End::Error(errno)) => Err(error_of(errno, "cannot open it")),
            Some(End::Torn(_) | End::Vanish | End::LoseUnsynced) => Err(gone()),
            None if self.is_away() => Err(gone()),
            None => Ok(()),
        }
    }

    /// Ends the time away, where that is over.
    fn come_back(&self) -> Option<Away> {
        let mut armed = self.armed.lock();
        let away = armed.away.take_if(|away| away.is_over())?;
        armed.exchanged |= away.comes == AsWhat::Blank;
        Some(away)
    }

    fn stay(self: &Arc<Self>, medium: Arc<dyn Medium>) -> Arc<Stay> {
        let stay = Arc::new(Stay::new(medium, Arc::clone(self)));
        let mut armed = self.armed.lock();
        armed.stays.retain(|stay| stay.strong_count() > 0);
        armed.stays.push(Arc::downgrade(&stay));
        if !armed.rules.is_empty() {
            stay.wake();
        }
        drop(armed);
        stay
    }
}

impl Armed {
    fn each_stay(&self, act: impl Fn(&Stay)) {
        self.stays.iter().filter_map(Weak::upgrade).for_each(|stay| act(&stay));
    }

    /// All faults count; the first that ends the request ends it.
    fn strike(&mut self, op: Op, extent: Option<Extent>, clearings: &watch::Sender<u64>) -> Struck {
        let mut struck = Struck::default();
        for rule in &mut self.rules {
            if !rule.meets(op, extent) {
                continue;
            }
            tracing::info!("fault: {} met {}", rule.spec, Shown(op, extent));
            let end = match rule.spec.action {
                Action::Hang(time) => {
                    struck.holds.push(Hold::Hang(time, clearings.subscribe()));
                    None
                }
                Action::Delay(time) => {
                    struck.holds.push(Hold::For(time));
                    None
                }
                Action::Corrupt => {
                    let place = extent.map(|extent| {
                        rule.spec.at.map_or(extent, |at| at.intersection(extent).unwrap_or(extent))
                    });
                    struck.corrupt = place.map(Extent::offset);
                    None
                }
                Action::Count => None,
                Action::Error(errno) => Some((End::Error(errno), None)),
                Action::Torn(bytes, back) => Some((End::Torn(bytes), Some(back))),
                Action::Vanish(back) => Some((End::Vanish, Some(back))),
                Action::LoseUnsynced(back) => Some((End::LoseUnsynced, Some(back))),
            };
            if let (None, Some((end, back))) = (struck.end, end) {
                struck.end = Some(end);
                self.away = back.map(|back| Away::beginning_now(back, rule.spec.at)).or(self.away);
            }
        }
        struck
    }
}

impl Away {
    fn beginning_now(back: Return, at: Option<Extent>) -> Self {
        // A time that no clock can tell is never.
        let until = back.after.and_then(|after| Instant::now().checked_add(after));
        Self { until, comes: back.as_what, at }
    }

    fn is_over(&self) -> bool {
        self.until.is_some_and(|until| until <= Instant::now())
    }
}

impl End {
    pub(super) const fn takes_away(self) -> bool {
        matches!(self, Self::Torn(_) | Self::Vanish | Self::LoseUnsynced)
    }
}

/// What a medium answers that a fault has taken away.
pub(super) fn gone() -> Error {
    Error::new(ErrorKind::Gone, "a fault has taken it away")
}

/// The error that a fault gives, of the kind that a medium which is still there would give it.
pub(super) fn error_of(errno: rustix::io::Errno, doing: &str) -> Error {
    use rustix::io::Errno;
    let kind = match errno {
        Errno::NXIO | Errno::NODEV | Errno::NOMEDIUM => ErrorKind::Gone,
        Errno::NOSPC => ErrorKind::NoSpace,
        Errno::ROFS => ErrorKind::ReadOnly,
        _ => ErrorKind::Medium,
    };
    Error::new(kind, format!("{doing}: a fault")).caused_by(std::io::Error::from(errno))
}

/// What is done, and where.
pub(super) struct Shown(pub(super) Op, pub(super) Option<Extent>);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let doing = match self.0 {
            Op::Read => "a read",
            Op::Write => "a write",
            Op::Sync => "a sync",
            Op::Look => "a look whether it is there",
            Op::Identify => "a look who it is",
            Op::Open => "an opening",
        };
        f.write_str(doing)?;
        self.1.map_or(Ok(()), |extent| write!(f, " of {extent}"))
    }
}
