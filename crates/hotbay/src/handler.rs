//! The drive as the control socket sees it.

mod words;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hotbay_block::BoxFuture;
use hotbay_drive::{Differences, Drive, Mirror, Refusal, Resolution, Volume};
use hotbay_media::{FaultSpec, MediumSpec, Shelf};
use hotbay_server::{Operation, OperationTraffic, Sessions};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::arrangement::{Arrangement, Outcome};
use crate::attach::{AttachmentId, NbdDevice};
use crate::config::Difference;
use crate::control::{
    Armed, ArmedFault, ControlHandler, ControlReply, CopyStatus, Event, EventSource, ExportStatus,
    HeldJournal, JournalStatus, MediumIs, Occupied, OpenSessions, OperationStatus, Progress,
    ProgressSink, ReloadEffect, ReloadedDifference, ResolveBy, State, Status, SwapContent,
    VolumeStatus, WaitingForRoom, WhenDifferent, Work, WorkDone,
};
use crate::exports::LayoutExports;
use crate::failure::Failure;
use crate::nearest::nearest;

/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// What the control socket needs of the daemon.
pub(crate) struct Handler {
    pub(crate) drive: Arc<Drive>,
    /// Where its media come from; for their faults.
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) sessions: Sessions,
    pub(crate) exports: LayoutExports,
    pub(crate) arrangement: Arc<Arrangement>,
    pub(crate) listen: Vec<String>,
    pub(crate) metrics: Option<String>,
}

impl Handler {
    /// The volume of that name. Where there is none, the hint begins with the one that is probably meant.
    fn volume(&self, name: &str) -> Result<Arc<Volume>, Failure> {
        self.drive.volume(name).map_err(|refusal| {
            let failure = Failure::from(refusal);
            let volumes = self.drive.volumes();
            match (nearest(name, volumes.iter().map(|volume| volume.name())), failure.hint()) {
                (Some(meant), Some(hint)) => {
                    let hint = format!("did you mean {meant}? {hint}");
                    failure.with_hint(hint)
                }
                _ => failure,
            }
        })
    }

    fn state_of(&self, volume: &str) -> Result<State, Failure> {
        Ok(self.volume(volume)?.state().into())
    }

    /// The drive and all of its volumes as they are now.
    pub(crate) fn snapshot(&self) -> Status {
        let drive = self.drive.status();
        let exports = self.exports.all().into_iter();
        // Where sysfs is not to be seen nothing is attached either.
        let attached = NbdDevice::attachments().unwrap_or_default();
        Status {
            drive: drive.name,
            bays: u32::try_from(drive.bays).unwrap_or(u32::MAX),
            layout: self.exports.layout().to_string(),
            listen: self.listen.clone(),
            metrics: self.metrics.clone(),
            exports: exports.map(|export| self.export_status(export.name, &attached)).collect(),
            volumes: self.drive.volumes().iter().map(|it| self.volume_status(it)).collect(),
        }
    }

    fn export_status(&self, name: String, attached: &[(NbdDevice, AttachmentId)]) -> ExportStatus {
        let id = self.exports.id_of(&name);
        let devices = attached.iter().filter(|(_, attachment)| Some(attachment.content.id) == id);
        let traffic = self.sessions.traffic_of(&name);
        let sum = |operations: &[Operation]| {
            operations.iter().fold(OperationStatus::default(), |sum, operation| {
                let OperationTraffic { bytes, errors, latency_sum, .. } = traffic.of(*operation);
                let time_us = u64::try_from(latency_sum.as_micros()).unwrap_or(u64::MAX);
                OperationStatus {
                    requests: sum.requests + traffic.of(*operation).requests(),
                    bytes: sum.bytes + bytes,
                    errors: sum.errors + errors.iter().sum::<u64>(),
                    time_us: sum.time_us.saturating_add(time_us),
                }
            })
        };
        use Operation::{Cache, Flush, Other, Read, Trim, Write, Zero};
        ExportStatus {
            devices: devices.map(|(device, _)| device.to_string()).collect(),
            sessions: u32::try_from(self.sessions.of_export(&name)).unwrap_or(u32::MAX),
            reads: sum(&[Read]),
            writes: sum(&[Write]),
            flushes: sum(&[Flush]),
            others: sum(&[Zero, Trim, Cache, Other]),
            name,
        }
    }

    /// Carries work out, and tells how far the volume's replay or copy is meanwhile.
    async fn with_progress(
        &self,
        volume: &str,
        sink: ProgressSink,
        work: impl Future<Output = Result<(), Refusal>>,
    ) -> Result<State, Failure> {
        let mut work = std::pin::pin!(work);
        let mut ticks = interval(PROGRESS_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                ended = &mut work => {
                    ended?;
                    return self.state_of(volume);
                }
                _ = ticks.tick() => self.tell_progress(volume, &sink),
            }
        }
    }

    fn tell_progress(&self, name: &str, sink: &ProgressSink) {
        let Ok(volume) = self.drive.volume(name) else { return };
        let status = volume.status();
        if let Some(progress) = status.progress {
            let work =
                WorkDone { done_bytes: progress.done_bytes, total_bytes: progress.total_bytes };
            let state = match status.state {
                hotbay_drive::State::Copying => Work::Copying,
                _ => Work::Replaying,
            };
            sink.report(Progress { volume: name.to_owned(), state, work });
        }
    }

    fn armed_faults(&self, volume: &str) -> Vec<ArmedFault> {
        let armed = self.shelf.faults(volume).armed().into_iter();
        armed
            .map(|hotbay_media::ArmedFault { fault, seen, fired }| ArmedFault {
                fault,
                seen,
                fired,
            })
            .collect()
    }

    fn volume_status(&self, volume: &Volume) -> VolumeStatus {
        let (status, export) = (volume.status(), self.exports.of_volume(volume.name()));
        VolumeStatus {
            export: export.to_owned(),
            sessions: u32::try_from(self.sessions.of_export(export)).unwrap_or(u32::MAX),
            name: status.name,
            state: status.state.into(),
            medium: status.medium.as_deref().map(without_create),
            bay: status.bay.map(|bay| u32::try_from(bay + 1).unwrap_or(u32::MAX)),
            attachment: status.attachment,
            size_bytes: status.size_bytes,
            waiting_for_medium: status.waiting_for_medium,
            waiting_for_room: status.waiting_for_room.map(WaitingForRoom::from),
            waiting_requests: status.waiting_requests,
            retained_bytes: status.retained_bytes,
            oldest_retained_ms: status.oldest_retained_age.map(words::milliseconds),
            last_loss: status.last_loss,
            conflict: status.conflict,
            hung: status.hung,
            faults: self.armed_faults(volume.name()),
            copy: self
                .exports
                .mirror_on(volume.name())
                .and_then(|mirror| copy_status(mirror, volume.name())),
            journal: JournalStatus {
                live_bytes: status.journal.live_bytes,
                disk_bytes: status.journal.disk_bytes,
                limit_bytes: status.journal.limit_bytes,
                extents: status.journal.extents,
            },
            progress: status.progress.map(|progress| WorkDone {
                done_bytes: progress.done_bytes,
                total_bytes: progress.total_bytes,
            }),
        }
    }
}

/// A medium's name without the wish to create it where there is none.
pub(crate) fn without_create(medium: &str) -> String {
    match medium.parse() {
        Ok(MediumSpec::File { path, .. }) => MediumSpec::File { path, create: None }.to_string(),
        _ => medium.to_owned(),
    }
}

fn copy_status(mirror: &Mirror, volume: &str) -> Option<CopyStatus> {
    let copy = mirror.copy(volume)?;
    let mirror = mirror.name().to_owned();
    Some(CopyStatus { mirror, in_sync: copy.in_sync, behind_bytes: copy.behind_bytes })
}

/// A medium as a client names it, which must be one before the drive is asked.
fn parsed(medium: &str) -> Result<MediumSpec, Failure> {
    medium.parse().map_err(|error: hotbay_media::SpecError| Failure::new(error.to_string()))
}

fn checked(medium: &str) -> Result<(), Failure> {
    parsed(medium).map(drop)
}

impl ControlHandler for Handler {
    fn status(&self, volume: Option<String>) -> BoxFuture<'_, Result<Status, Failure>> {
        Box::pin(async move {
            let mut status = self.snapshot();
            if let Some(name) = volume {
                let one = self.volume_status(&*self.volume(&name)?);
                status.exports.retain(|export| export.name == one.export);
                status.volumes = vec![one];
            }
            Ok(status)
        })
    }

    fn insert(
        &self,
        volume: String,
        medium: Option<String>,
        occupied: Occupied,
        medium_is: MediumIs,
        progress: ProgressSink,
    ) -> BoxFuture<'_, Result<State, Failure>> {
        Box::pin(async move {
            self.volume(&volume)?;
            medium.as_deref().map_or(Ok(()), checked)?;
            let when = occupied.into();
            if medium_is == MediumIs::Own {
                let work = self.drive.insert(&volume, medium.as_deref(), when);
                return self.with_progress(&volume, progress, work).await;
            }
            let Some(medium) = medium else {
                return Err(Failure::new("a fresh medium must be named"));
            };
            let mirror = self.exports.mirror_on(&volume);
            let work = self.drive.adopt(&volume, &medium, when, mirror);
            self.with_progress(&volume, progress, work).await
        })
    }

    fn eject(&self, volume: String) -> BoxFuture<'_, Result<State, Failure>> {
        Box::pin(async move {
            self.volume(&volume)?;
            self.drive.eject(&volume).await?;
            self.state_of(&volume)
        })
    }

    fn pull(&self, volume: String) -> BoxFuture<'_, Result<State, Failure>> {
        Box::pin(async move {
            self.volume(&volume)?;
            self.drive.pull(&volume).await?;
            self.state_of(&volume)
        })
    }

    fn swap(
        &self,
        volume: String,
        medium: String,
        content: SwapContent,
        progress: ProgressSink,
    ) -> BoxFuture<'_, Result<State, Failure>> {
        Box::pin(async move {
            self.volume(&volume)?;
            checked(&medium)?;
            match content {
                SwapContent::Copy => {
                    let work = self.drive.swap(&volume, &medium);
                    self.with_progress(&volume, progress, work).await
                }
                SwapContent::AsIs if self.exports.mirror_on(&volume).is_some() => {
                    Err(Failure::new(format!("volume {volume} is a copy of a mirror")).with_hint(
                        format!("'hotbay swap {volume} {medium}' copies its content there"),
                    ))
                }
                SwapContent::AsIs => {
                    self.drive.exchange(&volume, &medium).await?;
                    self.state_of(&volume)
                }
            }
        })
    }

    fn resolve(
        &self,
        volume: String,
        by: ResolveBy,
        progress: ProgressSink,
    ) -> BoxFuture<'_, Result<State, Failure>> {
        Box::pin(async move {
            let in_conflict = self.volume(&volume)?.state() == hotbay_drive::State::Conflict;
            let resolution = match self.exports.mirror_on(&volume) {
                Some(mirror) => match decided_of_copy(mirror, &volume, by, in_conflict).await? {
                    Some(resolution) => resolution,
                    None => return self.state_of(&volume),
                },
                None => resolution_of_volume(&volume, by)?,
            };
            let work = self.drive.resolve(&volume, resolution);
            self.with_progress(&volume, progress, work).await
        })
    }

    fn fault(
        &self,
        volume: String,
        armed: Armed,
        arm: Vec<String>,
    ) -> BoxFuture<'_, Result<State, Failure>> {
        Box::pin(async move {
            self.volume(&volume)?;
            let mut specs = Vec::new();
            for text in &arm {
                let read = FaultSpec::parse_all(text);
                specs.extend(read.map_err(|error| Failure::new(error.to_string()))?);
            }
            let plan = self.shelf.faults(&volume);
            if armed == Armed::Clear {
                plan.clear();
            }
            plan.arm(specs).map_err(|error| {
                Failure::new(error.to_string())
                    .with_hint(format!("'hotbay fault {volume} --clear' ends those that are armed"))
            })?;
            self.state_of(&volume)
        })
    }

    fn scrub(
        &self,
        volume: String,
        differences: WhenDifferent,
        progress: ProgressSink,
    ) -> BoxFuture<'_, Result<ControlReply, Failure>> {
        Box::pin(async move {
            self.volume(&volume)?;
            let mirror = self.exports.mirror_on(&volume).ok_or_else(|| {
                Failure::new(format!("volume {volume} is no copy of a mirror")).with_hint(
                    "layout = \"mirror\", or copy_of, makes copies of volumes: see docs/layouts.md",
                )
            })?;
            let found = mirror.scrub(&volume, differences.into(), |done_bytes, total_bytes| {
                let work = WorkDone { done_bytes, total_bytes };
                progress.report(Progress { volume: volume.clone(), state: Work::Scrubbing, work });
            });
            let Differences { compared_bytes, differing_bytes } = found.await?;
            Ok(ControlReply::Scrubbed { volume: volume.clone(), compared_bytes, differing_bytes })
        })
    }

    fn add_volume(&self, volume: String, medium: String) -> BoxFuture<'_, Result<State, Failure>> {
        Box::pin(async move {
            let name = volume.parse().map_err(Failure::new)?;
            let medium = parsed(&medium)?;
            self.arrangement.add_volume(name, medium).await?;
            let mut states = self.volume(&volume)?.states();
            // Where something of it was kept, that is replayed. It may have been removed again meanwhile.
            let _ = states.wait_for(|state| *state != hotbay_drive::State::Replaying).await;
            self.state_of(&volume)
        })
    }

    fn remove_volume(
        &self,
        volume: String,
        open: OpenSessions,
        held: HeldJournal,
    ) -> BoxFuture<'_, Result<ControlReply, Failure>> {
        Box::pin(async move {
            self.volume(&volume)?;
            let name = volume.parse().map_err(Failure::new)?;
            let kept = self.arrangement.remove_volume(name, open.into(), held.into()).await?;
            let kept = kept.map(|path| path.display().to_string());
            Ok(ControlReply::Removed { volume, kept })
        })
    }

    fn grow_volume(
        &self,
        volume: String,
        size_bytes: u64,
    ) -> BoxFuture<'_, Result<ControlReply, Failure>> {
        Box::pin(async move {
            self.volume(&volume)?;
            let name = volume.parse().map_err(Failure::new)?;
            let earlier_size_sessions = self.arrangement.grow_volume(&name, size_bytes).await?;
            Ok(ControlReply::Grown { volume, size_bytes, earlier_size_sessions })
        })
    }

    fn reload(&self) -> BoxFuture<'_, Result<ControlReply, Failure>> {
        Box::pin(async move {
            let outcomes = self.arrangement.reload().await?;
            let differences = outcomes.into_iter().map(ReloadedDifference::from).collect();
            Ok(ControlReply::Reloaded { differences })
        })
    }

    fn wait(
        &self,
        volume: String,
        state: State,
        limit: Duration,
    ) -> BoxFuture<'_, Result<State, Failure>> {
        Box::pin(async move {
            let volume = self.volume(&volume)?;
            let mut states = volume.states();
            let reached = states.wait_for(|now| State::from(*now) == state);
            match timeout(limit, reached).await {
                Ok(_) => Ok(state),
                Err(_) => Ok(volume.state().into()),
            }
        })
    }

    fn events(&self, after_sequence: u64) -> Vec<Event> {
        self.drive.events().after(after_sequence).into_iter().map(Event::from).collect()
    }

    fn follow(&self, after_sequence: u64) -> Box<dyn EventSource> {
        Box::new(Following(self.drive.events().follow(after_sequence)))
    }
}

impl From<(Difference, Outcome)> for ReloadedDifference {
    fn from((difference, outcome): (Difference, Outcome)) -> Self {
        let (effect, why) = match outcome {
            Outcome::Counts => (ReloadEffect::Live, None),
            Outcome::CountsForNewSessions => (ReloadEffect::NewSessions, None),
            Outcome::NotLive(why) => (ReloadEffect::NotLive, Some(why.to_owned())),
            Outcome::Refused(failure) => (ReloadEffect::Refused, Some(failure.to_string())),
        };
        let Difference { volume, key, before, after } = difference;
        let volume = volume.map(|name| name.to_string());
        Self { volume, key: key.to_owned(), before, after, effect, why }
    }
}

/// What becomes of the medium of a volume that is no copy.
fn resolution_of_volume(volume: &str, by: ResolveBy) -> Result<Resolution, Failure> {
    match by {
        ResolveBy::Replay => Ok(Resolution::Replay),
        ResolveBy::Discard => Ok(Resolution::Discard),
        ResolveBy::Newest => Err(Failure::new(format!("volume {volume} is no copy of a mirror"))
            .with_hint(format!("'hotbay resolve {volume} replay|discard' decides what counts"))),
    }
}

/// Decides in the mirror what a copy is, before its medium is let in where that is in conflict. What becomes of the medium then, where
/// something does: a copy's own journal is always laid over it, so that it is whole.
async fn decided_of_copy(
    mirror: &Mirror,
    volume: &str,
    by: ResolveBy,
    in_conflict: bool,
) -> Result<Option<Resolution>, Failure> {
    match by {
        ResolveBy::Newest => mirror.take_for_newest(volume).await?,
        // Which the drive refuses.
        _ if !in_conflict => return Ok(Some(Resolution::Replay)),
        ResolveBy::Replay => mirror.may_replay(volume)?,
        ResolveBy::Discard => mirror.take_for_old(volume).await?,
    }
    Ok(in_conflict.then_some(Resolution::Replay))
}

struct Following(hotbay_drive::Events);

impl EventSource for Following {
    fn next(&mut self) -> BoxFuture<'_, Vec<Event>> {
        Box::pin(async move { self.0.next().await.into_iter().map(Event::from).collect() })
    }
}
