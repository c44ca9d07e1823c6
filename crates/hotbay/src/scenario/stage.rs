//! Where a scenario happens: a drive with one volume, whose medium is a file, served in a temporary directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hotbay_drive::Drive;
use hotbay_media::{FaultPlan, Shelf};
use hotbay_server::{ListenAddress, Server, TlsInForce};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::file::Scenario;
use super::shell::Shell;
use crate::arrangement::{Arrangement, Origin, Parts};
use crate::assemble;
use crate::config::{AutoInsert, Config, ConfigFile, Environment, Overrides, resolve};
use crate::control::ControlServer;
use crate::exports::LayoutExports;
use crate::failure::Failure;
use crate::handler::Handler;
use crate::records::StateDirectory;
use crate::volume_changes::VolumeChanges;

/// The one volume.
pub(super) const VOLUME: &str = "disk";

/// A daemon of its own.
pub(super) struct Stage {
    pub(super) drive: Arc<Drive>,
    pub(super) address: ListenAddress,
    pub(super) faults: Arc<FaultPlan>,
    pub(super) shell: Shell,
    pub(super) image: PathBuf,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    control: JoinHandle<()>,
    directory: TempDir,
}

/// Whether the medium comes back by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Returns {
    AsTheScenarioSays,
    Never,
}

impl Stage {
    /// Makes the medium and starts the drive.
    ///
    /// # Errors
    /// Where the machine does not allow it, or the command that prepares the medium fails.
    pub(super) async fn set_up(scenario: &Scenario, returns: Returns) -> Result<Self, Failure> {
        let directory = tempfile::Builder::new()
            .prefix("hotbay-scenario-")
            .tempdir()
            .map_err(|error| Failure::new(format!("cannot make a temporary directory: {error}")))?;
        let image = directory.path().join("disk.img");
        let shell = Shell::new(directory.path(), &image);
        make_medium(&image, scenario, &shell).await?;
        let mut config = config(directory.path(), &image, scenario)?;
        if returns == Returns::Never {
            config.volumes.iter_mut().for_each(|volume| volume.auto_insert = AutoInsert::Never);
        }
        let control = ControlServer::bind(&config.control)?;
        let shelf = Arc::<Shelf>::default();
        let state = Arc::new(StateDirectory::take(&config.state)?);
        let drive = assemble::drive(&config, &state, &shelf).await?;
        let exports = LayoutExports::new(&drive, &config).await?;
        let server =
            Server::bind(&config.listen, Arc::new(exports.clone()), assemble::limits(&config))
                .await
                .map_err(|error| Failure::new(error.to_string()))?;
        let addresses = server.addresses();
        let parts = Parts {
            origin: Origin { environment: Environment::of_process()?, ..Origin::default() },
            configured: config.clone(),
            changes: VolumeChanges::default(),
            state,
            drive: Arc::clone(&drive),
            shelf: Arc::clone(&shelf),
            tls: TlsInForce::default(),
        };
        let handler = Handler {
            arrangement: Arc::new(Arrangement::new(parts, server.sessions(), exports.terms())?),
            drive: Arc::clone(&drive),
            shelf: Arc::clone(&shelf),
            sessions: server.sessions(),
            exports,
            listen: addresses.iter().map(ListenAddress::to_string).collect(),
            metrics: None,
        };
        let control = tokio::spawn(control.serve(Arc::new(handler)));
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server.run(async {
            // That the stage is gone ends it as well.
            let _ = stopped.await;
        }));
        let address = config.listen.remove(0);
        let faults = shelf.faults(VOLUME);
        Ok(Self { drive, address, faults, shell, image, stop, serving, control, directory })
    }

    /// Ends the daemon. What is left is the directory.
    ///
    /// # Errors
    /// Where something that was acknowledged could not be made durable.
    pub(super) async fn stop(self) -> Result<TempDir, Failure> {
        let Self { drive, faults, stop, serving, control, directory, .. } = self;
        // What still hangs would hold the end up.
        faults.clear();
        control.abort();
        // It may have ended already.
        let _ = stop.send(());
        let _ = serving.await;
        drive.stop().await?;
        Ok(directory)
    }
}

async fn make_medium(image: &Path, scenario: &Scenario, shell: &Shell) -> Result<(), Failure> {
    let cannot = |error| Failure::new(format!("cannot make {}: {error}", image.display()));
    let file = std::fs::File::create_new(image).map_err(cannot)?;
    file.set_len(scenario.size).map_err(cannot)?;
    if let Some(command) = &scenario.prepare {
        shell.run("prepare", command).await.map_err(Failure::new)?;
    }
    let found = std::fs::metadata(image).map_err(cannot)?.len();
    if found != scenario.size {
        let wanted = scenario.size;
        return Err(Failure::new(format!("prepare has left {found} bytes, not {wanted}"))
            .with_hint("write into $HOTBAY_IMAGE, which has the volume's size"));
    }
    Ok(())
}

fn config(directory: &Path, image: &Path, scenario: &Scenario) -> Result<Config, Failure> {
    let medium = format!("{VOLUME}=file:{}", image.display());
    let overrides = Overrides {
        volumes: vec![medium.parse().map_err(Failure::new)?],
        listen: vec![ListenAddress::Unix(directory.join("nbd.sock"))],
        control: Some(directory.join("control.sock")),
        state: Some(directory.join("state")),
        ..Overrides::default()
    };
    let file = ConfigFile::of_defaults(scenario.settings);
    resolve(file, overrides, &Environment::of_process()?)
}
