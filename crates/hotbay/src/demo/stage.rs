//! Where the demonstration happens: a drive with one bay in a temporary directory, served on a Unix socket.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hotbay_drive::Drive;
use hotbay_server::client::Client;
use hotbay_server::{ListenAddress, Server};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::disk::Disk;
use crate::assemble;
use crate::config::{BayCount, ConfigFile, Environment, Overrides, resolve};
use crate::exports::LayoutExports;
use crate::failure::Failure;
use crate::records::StateDirectory;

/// The demonstration's drive and its two clients.
pub(super) struct Stage {
    pub(super) drive: Arc<Drive>,
    pub(super) usb: Arc<Disk>,
    pub(super) backup: Arc<Disk>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    directory: TempDir,
}

impl Stage {
    /// Starts the drive and connects to both volumes.
    ///
    /// # Errors
    /// Where the machine does not allow a temporary directory, a socket or files in it.
    pub(super) async fn set_up() -> Result<Self, Failure> {
        let directory = tempfile::Builder::new()
            .prefix("hotbay-demo-")
            .tempdir()
            .map_err(|error| Failure::new(format!("cannot make a temporary directory: {error}")))?;
        let config = config(directory.path())?;
        let drive = assemble::drive(
            &config,
            &Arc::new(StateDirectory::take(&config.state)?),
            &Arc::default(),
        )
        .await?;
        let exports = Arc::new(LayoutExports::new(&drive, &config).await?);
        let server = Server::bind(&config.listen, exports, assemble::limits(&config))
            .await
            .map_err(|error| Failure::new(error.to_string()))?;
        let address = server.addresses().remove(0);
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server.run(async {
            // That the stage is gone ends it as well.
            let _ = stopped.await;
        }));
        let usb = connect(&address, "usb", directory.path()).await?;
        let backup = connect(&address, "backup", directory.path()).await?;
        Ok(Self { drive, usb, backup, stop, serving, directory })
    }

    /// Copies what the medium of a volume that was just flushed has.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn remember_what_is_synced(&self, disk: &Disk) -> Result<PathBuf, Failure> {
        let copy = self.directory.path().join("synced.img");
        fs::copy(&disk.image, &copy).map_err(|error| no_copy(&disk.image, &error))?;
        Ok(copy)
    }

    /// Makes a medium that was pulled lose what it had not synced.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn forget_what_was_not_synced(
        &self,
        disk: &Disk,
        synced: &Path,
    ) -> Result<(), Failure> {
        fs::copy(synced, &disk.image).map(drop).map_err(|error| no_copy(synced, &error))
    }

    /// What a volume's journal holds.
    pub(super) fn journal_bytes(&self, volume: &str) -> u64 {
        self.drive.volume(volume).map_or(0, |volume| volume.status().journal.live_bytes)
    }

    /// Whether a request of a volume waits for its medium.
    pub(super) fn waits_for_medium(&self, volume: &str) -> bool {
        self.drive.volume(volume).is_ok_and(|volume| volume.status().waiting_for_medium)
    }

    /// Ends it and removes the directory.
    ///
    /// # Errors
    /// The drive's.
    pub(super) async fn clear_away(self) -> Result<(), Failure> {
        let Self { drive, usb, backup, stop, serving, directory } = self;
        drop((usb, backup));
        // It may have ended already.
        let _ = stop.send(());
        let _ = serving.await;
        drive.stop().await?;
        drop(directory);
        Ok(())
    }
}

fn config(directory: &Path) -> Result<crate::config::Config, Failure> {
    let volume = |name: &str| {
        let image = directory.join(format!("{name}.img"));
        format!("{name}=file:{}?create=32MiB", image.display()).parse()
    };
    let volumes = ["usb", "backup"].map(volume).into_iter().collect::<Result<Vec<_>, _>>();
    let overrides = Overrides {
        volumes: volumes.map_err(Failure::new)?,
        bays: Some(BayCount { 0: 1 }),
        listen: vec![ListenAddress::Unix(directory.join("nbd.sock"))],
        control: Some(directory.join("control.sock")),
        state: Some(directory.join("state")),
        ..Overrides::default()
    };
    resolve(ConfigFile::default(), overrides, &Environment::of_process()?)
}

async fn connect(
    address: &ListenAddress,
    volume: &'static str,
    directory: &Path,
) -> Result<Arc<Disk>, Failure> {
    let client = Client::connect(address, volume)
        .await
        .map_err(|error| Failure::new(format!("cannot connect to volume {volume}: {error}")))?;
    Ok(Arc::new(Disk::new(volume, client, directory.join(format!("{volume}.img")))))
}

fn no_copy(from: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot copy {}: {error}", from.display()))
}
