//! The volumes of a drive, which may be added and removed while it runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hotbay_block::BoxFuture;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::drive::Drive;
use crate::event::EventKind;
use crate::failure::Refusal;
use crate::retire::{Leavings, WhenHeld, WhenOpen};
use crate::settings::VolumeSettings;
use crate::start::VolumeSetup;
use crate::volume::Volume;
use crate::watch::watch;

/// The volumes, and what looks after each of them.
#[derive(Debug)]
pub(crate) struct Members {
    volumes: ArcSwap<Vec<Arc<Volume>>>,
    /// By the volume's name; each ends when it is dropped.
    watches: Mutex<BTreeMap<String, JoinSet<()>>>,
    /// Held while a volume comes or goes.
    turn: tokio::sync::Mutex<()>,
}

impl Members {
    pub(crate) fn of(volumes: &[Arc<Volume>]) -> Self {
        Self {
            volumes: ArcSwap::from_pointee(volumes.to_vec()),
            watches: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    pub(crate) fn all(&self) -> Vec<Arc<Volume>> {
        self.volumes.load().to_vec()
    }

    /// Looks after a volume from now on.
    pub(crate) fn watch(&self, volume: &Arc<Volume>) {
        let mut task = JoinSet::new();
        task.spawn(watch(Arc::clone(volume)));
        self.watches.lock().insert(volume.name().to_owned(), task);
    }

    pub(crate) fn stop_watching(&self) {
        self.watches.lock().clear();
    }

    fn enter(&self, volume: &Arc<Volume>) {
        let mut volumes = self.all();
        volumes.push(Arc::clone(volume));
        self.volumes.store(Arc::new(volumes));
    }

    fn leave(&self, name: &str) {
        let mut volumes = self.all();
        volumes.retain(|volume| volume.name() != name);
        self.volumes.store(Arc::new(volumes));
        self.watches.lock().remove(name);
    }
}

impl Drive {
    /// Adds a volume behind the others, and puts its medium in where that was in when it was here last, or where it was never here, and a
    /// bay is free. `recorded` is awaited when nothing stands in the way any more; the volume is one of the drive after its success alone.
    ///
    /// # Errors
    /// Where there is a volume of this name, the new one cannot be started, or `recorded` fails.
    pub async fn add(
        &self,
        setup: VolumeSetup,
        recorded: BoxFuture<'_, Result<(), Refusal>>,
    ) -> Result<(), Refusal> {
        let _turn = self.members.turn.lock().await;
        let name = setup.settings.name.clone();
        if self.volume(&name).is_ok() {
            return Err(Refusal::new(format!("there is a volume {name} already")));
        }
        let volume = Volume::start(setup, self.around.clone()).await?;
        if let Err(refusal) = recorded.await {
            // Nothing was ever written to it.
            let _ = volume.stop().await;
            return Err(refusal);
        }
        volume.event(EventKind::Added, "it is a volume of the drive from now on");
        volume.resume().await;
        self.members.enter(&volume);
        self.members.watch(&volume);
        Ok(())
    }

    /// Gives a volume other settings, which count from now on: for requests that wait already too, but for how long they wait. Its name,
    /// its first medium and the limit of its journal stay.
    ///
    /// # Errors
    /// Where there is no such volume.
    pub fn set_settings(&self, volume: &str, settings: VolumeSettings) -> Result<(), Refusal> {
        self.volume(volume)?.set_settings(settings);
        Ok(())
    }

    /// Removes a volume, whose medium is synced and let go. `recorded` is awaited when nothing stands in the way any more; from its
    /// success on the volume is no more. What is on stable storage of it stays there.
    ///
    /// # Errors
    /// Where sessions have it open, or its journal holds something, and that is to be refused; where its medium cannot be synced, or
    /// `recorded` fails. Then the volume goes on.
    pub async fn remove(
        &self,
        volume: &str,
        when_open: WhenOpen,
        when_held: WhenHeld,
        recorded: BoxFuture<'_, Result<(), Refusal>>,
    ) -> Result<Leavings, Refusal> {
        let _turn = self.members.turn.lock().await;
        let leaving = self.volume(volume)?;
        let leavings = leaving.retire(when_open, when_held, recorded).await?;
        self.members.leave(volume);
        self.events().forget_counts(volume);
        Ok(leavings)
    }
}
