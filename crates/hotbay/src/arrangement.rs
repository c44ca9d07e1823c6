//! What the daemon runs with at the moment, and how that is changed while it runs.
//!
//! One change at a time. A change of which volumes there are is remembered in the state directory after nothing stands in its way
//! any more, and before it takes effect: a restart at any moment finds it whole or not at all.

mod reload;

use std::path::PathBuf;
use std::sync::Arc;

use hotbay_block::BoxFuture;
use hotbay_drive::{Drive, Leavings, Refusal, WhenHeld, WhenOpen};
use hotbay_media::{MediumSpec, Shelf};
use hotbay_server::{Sessions, TlsInForce};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

pub(crate) use reload::Outcome;

use crate::assemble;
use crate::config::{Config, Environment, Layout, Name, Overrides};
use crate::export_terms::ExportTerms;
use crate::failure::Failure;
use crate::hook_tasks::HookTasks;
use crate::hooks::Facts;
use crate::mirror_record::serve_apart;
use crate::records::StateDirectory;
use crate::volume_changes::VolumeChanges;

/// What says what a daemon runs with, to be read again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    /// The configuration file, where there is one.
    pub(crate) file: Option<PathBuf>,
    /// What the command line said.
    pub(crate) overrides: Overrides,
    /// Where things are when nobody says where.
    pub(crate) environment: Environment,
}

/// What a daemon is started with, and what is there already.
pub(crate) struct Parts {
    pub(crate) origin: Origin,
    /// What the file and the command line say.
    pub(crate) configured: Config,
    /// What was changed by command since.
    pub(crate) changes: VolumeChanges,
    pub(crate) state: Arc<StateDirectory>,
    pub(crate) drive: Arc<Drive>,
    pub(crate) shelf: Arc<Shelf>,
    /// What the server has of it.
    pub(crate) tls: TlsInForce,
}

/// What the daemon runs with.
pub(crate) struct Arrangement {
    origin: Origin,
    hooks: HookTasks,
    state: Arc<StateDirectory>,
    drive: Arc<Drive>,
    shelf: Arc<Shelf>,
    sessions: Sessions,
    terms: ExportTerms,
    tls: TlsInForce,
    now: Mutex<Now>,
}

struct Now {
    /// What the file and the command line said when they were read last.
    configured: Config,
    /// What was changed by command.
    changes: VolumeChanges,
    /// What is true.
    config: Config,
}

impl Arrangement {
    /// That of a drive that was just started with it.
    ///
    /// # Errors
    /// Where its parts contradict each other.
    pub(crate) fn new(
        parts: Parts,
        sessions: Sessions,
        terms: ExportTerms,
    ) -> Result<Self, Failure> {
        let Parts { origin, configured, changes, state, drive, shelf, tls } = parts;
        let config = changes.applied_to(&configured)?;
        let facts = Facts { drive: config.name.to_string(), control: config.control.clone() };
        let hooks = HookTasks::new(facts, Arc::clone(&drive));
        hooks.run_these(&config.hooks, 0);
        let now = Mutex::new(Now { configured, changes, config });
        Ok(Self { origin, hooks, state, drive, shelf, sessions, terms, tls, now })
    }

    /// Ends the hooks, with the commands that run.
    pub(crate) fn stop(&self) {
        self.hooks.stop();
    }

    /// Adds a volume, and remembers it. A path in `medium` is taken from the daemon's directory.
    ///
    /// # Errors
    /// Where the layout has a place for each volume, the name or the medium is taken, or the volume cannot be started.
    pub(crate) async fn add_volume(&self, name: Name, medium: MediumSpec) -> Result<(), Failure> {
        let mut now = self.now.lock().await;
        must_be_free_to_change(now.config.layout, &format!("volume {name} cannot be added"))?;
        let medium = medium.absolute(&self.origin.environment.current);
        if now.config.volumes.iter().any(|volume| volume.name == name) {
            return Err(Failure::new(format!("there is a volume {name} already"))
                .with_hint(format!("'hotbay swap {name} MEDIUM' moves it to another medium")));
        }
        self.must_be_nobodys(&medium)?;
        let mut changes = now.changes.clone();
        changes.add(&now.configured, &name, &medium);
        let said = changes.applied_to(&now.configured)?.volumes;
        let mut config = now.config.clone();
        config.volumes.extend(said.into_iter().find(|volume| volume.name == name));
        config.check_volumes()?;
        self.begin(&name, &config, self.recorded(&changes)).await.inspect_err(|_| {
            self.drive.set_bays(now.config.bay_count());
        })?;
        (now.changes, now.config) = (changes, config);
        Ok(())
    }

    /// Removes a volume, and remembers that. What is kept of it in the state directory; `None` where nothing is.
    ///
    /// # Errors
    /// Where the layout has a place for each volume, it is the last one, or what speaks against it is to be refused.
    pub(crate) async fn remove_volume(
        &self,
        name: Name,
        when_open: WhenOpen,
        when_held: WhenHeld,
    ) -> Result<Option<PathBuf>, Failure> {
        let mut now = self.now.lock().await;
        must_be_free_to_change(now.config.layout, &format!("volume {name} cannot be removed"))?;
        if now.config.volumes.len() == 1 {
            return Err(Failure::new(format!("volume {name} is the only one of the drive"))
                .with_hint("add another one first, or stop the daemon"));
        }
        let mut changes = now.changes.clone();
        changes.remove(&now.configured, &name);
        changes.applied_to(&now.configured)?;
        let mut config = now.config.clone();
        config.volumes.retain(|volume| volume.name != name);
        let kept = self.end(&name, &config, when_open, when_held, self.recorded(&changes)).await?;
        (now.changes, now.config) = (changes, config);
        Ok(kept)
    }

    /// Makes a volume and its medium larger. How many sessions are open that keep the earlier size.
    ///
    /// # Errors
    /// Where the layout has a place for each volume, or the volume or its medium cannot grow.
    pub(crate) async fn grow_volume(&self, name: &Name, size_bytes: u64) -> Result<u32, Failure> {
        let now = self.now.lock().await;
        must_be_free_to_change(now.config.layout, &format!("volume {name} cannot grow"))?;
        let name = name.to_string();
        self.drive.grow(&name, size_bytes).await?;
        Ok(u32::try_from(self.sessions.of_export(&name)).unwrap_or(u32::MAX))
    }

    /// A medium that another volume is on, or was on last, is not to be another one's.
    fn must_be_nobodys(&self, medium: &MediumSpec) -> Result<(), Failure> {
        if matches!(medium, MediumSpec::Memory { .. }) {
            // Memory of one size is not the same memory.
            return Ok(());
        }
        let medium = medium.to_string();
        let status = self.drive.status();
        let owner = status.volumes.iter().find(|volume| {
            volume.medium.as_deref().is_some_and(|other| assemble::is_the_same(other, &medium))
        });
        owner.map_or(Ok(()), |owner| {
            Err(Failure::new(format!("{medium} is the medium of volume {}", owner.name)).with_hint(
                "two volumes on one medium would overwrite each other; give each its own",
            ))
        })
    }

    /// Starts a volume of `config`.
    async fn begin(
        &self,
        name: &Name,
        config: &Config,
        recorded: BoxFuture<'_, Result<(), Refusal>>,
    ) -> Result<(), Failure> {
        let volume = config.volumes.iter().find(|volume| volume.name == *name);
        let volume = volume.ok_or_else(|| Failure::new(format!("there is no volume {name}")))?;
        let is_known = self.state.resume_or_begin_anew(&name.to_string(), |last| {
            assemble::is_the_same(last, &volume.medium.to_string())
        })?;
        // Before anybody can open it.
        self.terms.set(volume);
        let begun = async {
            let setup = assemble::setup(volume, config, &self.state)?;
            serve_apart(&config.state, &[], &[setup.record.id])?;
            self.drive.set_bays(config.bay_count());
            self.drive.add(setup, recorded).await.map_err(Failure::from)
        };
        begun.await.inspect_err(|_| {
            if !is_known {
                self.forget(name);
            }
        })
    }

    /// Ends a volume, which `config` has no more. What is kept of it.
    async fn end(
        &self,
        name: &Name,
        config: &Config,
        when_open: WhenOpen,
        when_held: WhenHeld,
        recorded: BoxFuture<'_, Result<(), Refusal>>,
    ) -> Result<Option<PathBuf>, Failure> {
        let volume = name.to_string();
        let leavings = self.drive.remove(&volume, when_open, when_held, recorded).await?;
        self.drive.set_bays(config.bay_count());
        self.shelf.forget(&volume);
        self.sessions.forget(&volume);
        let is_forgotten = leavings == Leavings::Nothing && self.forget(name);
        Ok((!is_forgotten).then(|| self.state.of_volume(&volume)))
    }

    /// Removes what the state directory has of a volume; whether nothing is left.
    fn forget(&self, name: &Name) -> bool {
        let forgotten = self.state.forget(&name.to_string());
        if let Err(error) = &forgotten {
            tracing::warn!("cannot remove what the state directory has of volume {name}: {error}");
        }
        forgotten.is_ok()
    }

    /// Remembers changes, when it is awaited.
    fn recorded(&self, changes: &VolumeChanges) -> BoxFuture<'static, Result<(), Refusal>> {
        let (changes, state) = (changes.clone(), Arc::clone(&self.state));
        Box::pin(async move {
            let saved = spawn_blocking(move || changes.save(state.path())).await;
            saved.map_err(std::io::Error::other).flatten().map_err(|error| {
                Refusal::new(format!("cannot remember which volumes there are: {error}"))
                    .hint("make room in the state directory, or make it writable")
            })
        })
    }
}

/// Where volumes make one disk, each has its place on it.
fn must_be_free_to_change(layout: Layout, what: &str) -> Result<(), Failure> {
    let why = match layout {
        Layout::Volumes => return Ok(()),
        Layout::Partitions => "its table follows from the volumes, and so does the disk's identity",
        Layout::Linear => "where each volume begins follows from those before it",
        Layout::Mirror => "each volume is a copy of it, and has its size",
    };
    Err(Failure::new(format!(
        "{what} while the daemon runs: in layout {layout} all volumes are one disk; {why}, and clients that have it open would not be told"
    ))
    .with_hint("change the configuration, and start the daemon again; docs/layouts.md says what becomes of the disk"))
}
