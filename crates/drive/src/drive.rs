//! A drive: volumes that share bays.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::runtime::Handle;

use crate::bay::{BayPlace, Bays, WhenOccupied};
use crate::conflict::Resolution;
use crate::event::{EventKind, EventLog};
use crate::failure::Refusal;
use crate::insertion::Recognition;
use crate::members::Members;
use crate::record::Records;
use crate::source::MediumSource;
use crate::start::{VolumeSetup, let_settle};
use crate::state::State;
use crate::status::DriveStatus;
use crate::told::Told;
use crate::volume::{Surroundings, Volume};

/// What a drive is made from, besides its volumes.
#[derive(Clone)]
pub struct DriveSettings {
    /// Its name.
    pub name: String,
    /// How many media may be in at once; at least 1.
    pub bays: usize,
    /// Where media come from.
    pub source: Arc<dyn MediumSource>,
    /// Where records are kept.
    pub records: Arc<dyn Records>,
}

impl std::fmt::Debug for DriveSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DriveSettings")
            .field("name", &self.name)
            .field("bays", &self.bays)
            .finish_non_exhaustive()
    }
}

/// A drive and its volumes. Its tasks run on the runtime that [`Drive::start`] was called on.
pub struct Drive {
    name: String,
    pub(crate) around: Surroundings,
    pub(crate) members: Members,
}

impl std::fmt::Debug for Drive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drive")
            .field("name", &self.name)
            .field("members", &self.members)
            .finish_non_exhaustive()
    }
}

impl Drive {
    /// Starts the volumes where they were left. Returns when each can answer requests: one with nothing to replay on its medium, where
    /// that takes less than a second. A replay, or a medium that is slow, may still be under way.
    ///
    /// # Errors
    /// Where a volume's size cannot be found out, or its record not be written. A damaged journal is no error: its
    /// volume is `failed`, the others serve.
    pub async fn start(settings: DriveSettings, setups: Vec<VolumeSetup>) -> Result<Self, Refusal> {
        let around = Surroundings {
            source: settings.source,
            records: settings.records,
            bays: Bays::new(settings.bays),
            events: EventLog::default(),
            looks: Arc::new(Told::new(0)),
            runtime: Handle::current(),
        };
        // Those that had their medium in come first: a restart is not a removal, also where bays are few.
        let mut order: Vec<(bool, usize)> =
            setups.iter().enumerate().map(|(place, setup)| (!setup.record.in_bay, place)).collect();
        order.sort_unstable();
        let mut volumes = Vec::new();
        for setup in setups {
            volumes.push(Volume::start(setup, around.clone()).await?);
        }
        let members = Members::of(&volumes);
        for (_, place) in order {
            let volume: &Arc<Volume> = &volumes[place];
            volume.resume().await;
            members.watch(volume);
        }
        let_settle(&volumes).await;
        Ok(Self { name: settings.name, around, members })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its volumes as they are now: in their configured order, then those that were added.
    #[must_use]
    pub fn volumes(&self) -> Vec<Arc<Volume>> {
        self.members.all()
    }

    /// The volume of that name.
    ///
    /// # Errors
    /// Where there is none.
    pub fn volume(&self, name: &str) -> Result<Arc<Volume>, Refusal> {
        let volumes = self.volumes();
        volumes.iter().find(|volume| volume.name() == name).cloned().ok_or_else(|| {
            let names: Vec<&str> = volumes.iter().map(|volume| volume.name()).collect();
            Refusal::new(format!("there is no volume {name}"))
                .hint(format!("the volumes are: {}", names.join(", ")))
        })
    }

    /// What has happened and happens.
    #[must_use]
    pub fn events(&self) -> &EventLog {
        &self.around.events
    }

    /// How it is doing.
    #[must_use]
    pub fn status(&self) -> DriveStatus {
        DriveStatus {
            name: self.name.clone(),
            bays: self.around.bays.count(),
            volumes: self.volumes().iter().map(|volume| volume.status()).collect(),
        }
    }

    /// Puts a volume's medium into a bay, and returns when the journal has been replayed to it. If this is dropped
    /// the replay goes on.
    ///
    /// # Errors
    /// Where no bay is free, or the medium cannot be opened, is not the volume's own, or is lost in the replay.
    pub async fn insert(
        &self,
        volume: &str,
        medium: Option<&str>,
        when_occupied: WhenOccupied,
    ) -> Result<(), Refusal> {
        let volume = self.volume(volume)?;
        volume.next_state(crate::Trigger::Insert)?;
        let place = self.place_for(&volume, when_occupied).await?;
        volume.insert(medium, place, Recognition::TheSame).await?;
        finished(&volume, State::Replaying).await
    }

    /// Lets a volume's medium go; when it returns the medium may be taken away. If this is dropped it goes on by itself.
    ///
    /// # Errors
    /// Where no medium is in, or it cannot be drained or synced.
    pub async fn eject(&self, volume: &str) -> Result<(), Refusal> {
        let volume = self.volume(volume)?;
        volume.to_its_end(|volume| async move { volume.eject().await }).await
    }

    /// Drops a volume's medium as it stands. If this is dropped it goes on by itself.
    ///
    /// # Errors
    /// Where no medium is in.
    pub async fn pull(&self, volume: &str) -> Result<(), Refusal> {
        let volume = self.volume(volume)?;
        volume.to_its_end(|volume| async move { volume.pull().await }).await
    }

    /// Copies a volume to another medium while it is in use, and goes on there.
    ///
    /// # Errors
    /// As the volume's state or either medium does not allow it; then the volume is where it was.
    pub async fn swap(&self, volume: &str, medium: &str) -> Result<(), Refusal> {
        self.volume(volume)?.swap(medium).await
    }

    /// Puts another content in place of a volume's, and closes its sessions. If this is dropped it goes on by itself.
    ///
    /// # Errors
    /// Where the journal holds changes of the earlier content, or either medium fails.
    pub async fn exchange(&self, volume: &str, medium: &str) -> Result<(), Refusal> {
        let volume = self.volume(volume)?;
        let place = match volume.state() {
            State::Absent => Some(self.place_for(&volume, WhenOccupied::Refuse).await?),
            _ => None,
        };
        let medium = medium.to_owned();
        volume.to_its_end(|volume| async move { volume.exchange(&medium, place).await }).await
    }

    /// Decides what counts where a volume's medium was changed while it was away. Returns when the journal has been replayed to
    /// it, or given up. If this is dropped it goes on by itself.
    ///
    /// # Errors
    /// Where the volume is not in conflict, or the medium cannot be used: then it still is.
    pub async fn resolve(&self, volume: &str, resolution: Resolution) -> Result<(), Refusal> {
        let volume = self.volume(volume)?;
        volume.to_its_end(|volume| async move { volume.resolve(resolution).await }).await?;
        finished(&volume, State::Replaying).await
    }

    /// Makes a volume and its medium larger, with zeroes behind what was there. Sessions that are open keep its earlier size.
    /// If this is dropped it goes on by itself.
    ///
    /// # Errors
    /// Where the volume is not present or larger already, or its medium cannot grow; then all is as it was.
    pub async fn grow(&self, volume: &str, size_bytes: u64) -> Result<(), Refusal> {
        let volume = self.volume(volume)?;
        volume.to_its_end(|volume| async move { volume.grow(size_bytes).await }).await
    }

    /// Makes it so many bays. Media that are in stay in; where these are more, none is put in until enough have gone.
    pub fn set_bays(&self, count: usize) {
        self.around.bays.set_count(count);
    }

    /// Tells that a changer could not load or unload a volume's medium, and why.
    pub fn tell_bay_command_failed(&self, volume: &str, why: &str) {
        self.events().record(volume, EventKind::BayCommandFailed, why);
    }

    /// Looks at all media at once, whether they are still there or there again, instead of at the next of the regular
    /// looks: for whoever hears that something was plugged in or pulled out. Returns before they have looked. However often
    /// it is called, they look a bounded number of times.
    pub fn look_now(&self) {
        self.around.looks.change(|looks| *looks += 1);
    }

    /// Stops: no medium is put back any more, and everything acknowledged is made durable.
    ///
    /// # Errors
    /// The first volume's that could not be made durable; all of them are stopped.
    pub async fn stop(&self) -> Result<(), Refusal> {
        // At the same time, so that those whose disks hang keep the others from nothing.
        let volumes = self.volumes();
        let stopped = join_all(volumes.iter().map(|volume| volume.stop())).await;
        // Until now, because they see to it that a disk that hangs is not waited for too long.
        self.members.stop_watching();
        stopped.into_iter().collect()
    }

    pub(crate) async fn place_for(
        &self,
        volume: &Volume,
        when: WhenOccupied,
    ) -> Result<BayPlace, Refusal> {
        if let Some(place) = self.around.bays.take(volume.name()) {
            return Ok(place);
        }
        let occupants = self.around.bays.occupants();
        if occupants.iter().any(|occupant| occupant == volume.name()) {
            let name = volume.name();
            return Err(Refusal::new(format!(
                "the medium of volume {name} is being put in already"
            ))
            .hint(format!("'hotbay wait {name} present' waits for it")));
        }
        if when == WhenOccupied::Replace
            && let Some(oldest) = occupants.first()
        {
            self.eject(oldest).await?;
            if let Some(place) = self.around.bays.take(volume.name()) {
                return Ok(place);
            }
        }
        Err(occupied(volume, &occupants))
    }
}

fn occupied(volume: &Volume, occupants: &[String]) -> Refusal {
    let name = volume.name();
    let message = match occupants {
        [one] => format!("the bay holds the medium of volume {one}"),
        several => format!("each bay holds a medium: of the volumes {}", several.join(", ")),
    };
    volume.event(EventKind::Refused, format!("no bay is free for volume {name}: {message}"));
    let first = occupants.first().map_or("VOLUME", String::as_str);
    Refusal::new(message).hint(format!(
        "'hotbay eject {first}' first, or 'hotbay insert {name} --replace' does both"
    ))
}

/// Waits until a volume leaves `passing`, and says whether that ended well.
pub(crate) async fn finished(volume: &Volume, passing: State) -> Result<(), Refusal> {
    volume.routes.until(|_| volume.state() != passing).await;
    match volume.state() {
        State::Absent | State::Conflict | State::Failed => {
            let name = volume.name();
            let why = volume.notes.lock().last_loss.clone().unwrap_or_default();
            Err(Refusal::new(format!(
                "volume {name} lost its medium again before it had everything: {why}"
            ))
            .hint("nothing is lost; what the medium does not have is still in the journal"))
        }
        State::Present | State::Replaying | State::Copying => Ok(()),
    }
}
