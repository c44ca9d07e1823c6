//! Reading the configuration again: what can count while the daemon runs does, and what cannot is named.

use hotbay_drive::{WhenHeld, WhenOpen};

use super::{Arrangement, Now};
use crate::assemble;
use crate::config::{self, AutoInsert, Config, Difference, Effect, Name, TlsConfig, VolumeConfig};
use crate::failure::Failure;

/// What became of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It counts.
    Counts,
    /// It counts for sessions that begin from now on.
    CountsForNewSessions,
    /// It cannot while the daemon runs, and why.
    NotLive(&'static str),
    /// It could, and was refused.
    Refused(Failure),
}

impl Arrangement {
    /// Reads the configuration file again, and makes true what can be while the daemon runs. Each difference, with what became of
    /// it.
    ///
    /// # Errors
    /// Where there is no file, it says something wrong, or what was changed by command contradicts it: then nothing has changed.
    pub(crate) async fn reload(&self) -> Result<Vec<(Difference, Outcome)>, Failure> {
        let mut now = self.now.lock().await;
        let Some(file) = &self.origin.file else {
            return Err(Failure::new("the daemon was started without a configuration file")
                .with_hint("start it with one: hotbay serve CONFIG.toml"));
        };
        let overrides = self.origin.overrides.clone();
        let configured = config::load(Some(file), overrides, &self.origin.environment)?;
        let changes = now.changes.beside(&configured);
        let target = changes.applied_to(&configured)?;
        if changes != now.changes {
            self.recorded(&changes).await?;
        }
        (now.configured, now.changes) = (configured, changes);
        let mut outcomes = Vec::new();
        let tls = self.tls_files(&now.config, &target);
        for difference in config::differences(&now.config, &target).into_iter().chain(tls) {
            let outcome = match difference.effect(now.config.layout) {
                Effect::NotLive(why) => Outcome::NotLive(why),
                effect => match self.make_true(&difference, &mut now, &target).await {
                    Ok(()) if effect == Effect::NewSessions => Outcome::CountsForNewSessions,
                    Ok(()) => Outcome::Counts,
                    Err(failure) => Outcome::Refused(failure),
                },
            };
            tell(&difference, &outcome);
            outcomes.push((difference, outcome));
        }
        // What one bay for each makes of those that are there in the end.
        self.drive.set_bays(now.config.bay_count());
        Ok(outcomes)
    }

    /// Makes true what can be while the daemon runs.
    async fn make_true(
        &self,
        difference: &Difference,
        now: &mut Now,
        target: &Config,
    ) -> Result<(), Failure> {
        match (difference.key, &difference.volume) {
            ("volume", Some(name)) if difference.before.is_some() => self.let_go(name, now).await,
            ("volume", Some(name)) => self.take_in(name, now, target).await,
            ("bays", _) => {
                now.config.bays = target.bays;
                self.drive.set_bays(now.config.bay_count());
                Ok(())
            }
            ("hook", _) => {
                now.config.hooks.clone_from(&target.hooks);
                self.hooks.run_these(&target.hooks, self.drive.events().newest());
                Ok(())
            }
            ("tls", None) => {
                self.tls.set(target.tls.as_ref().map(TlsConfig::load).transpose()?);
                now.config.tls.clone_from(&target.tls);
                Ok(())
            }
            (_, Some(name)) => self.set(name, now, target),
            ("allow", None) => {
                // Each volume that has no list of its own differs by itself.
                now.config.allow.clone_from(&target.allow);
                Ok(())
            }
            (_, None) => Ok(()),
        }
    }

    /// The same files of TLS, where they hold something else now, or nothing that could be used.
    fn tls_files(&self, now: &Config, target: &Config) -> Option<Difference> {
        let (in_force, files) = (self.tls.get()?, target.tls.as_ref()?);
        if now.tls.as_ref().map(TlsConfig::to_string) != Some(files.to_string()) {
            // That is a difference by itself, which reads them.
            return None;
        }
        let changed = match files.load() {
            Ok(tls) => {
                let changed = tls.files_unlike(&in_force);
                changed.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
            }
            Err(_) => "files that cannot be used".to_owned(),
        };
        (!changed.is_empty()).then(|| Difference {
            volume: None,
            key: "tls",
            before: Some("files as they were read".to_owned()),
            after: Some(changed),
        })
    }

    async fn let_go(&self, name: &Name, now: &mut Now) -> Result<(), Failure> {
        let mut config = now.config.clone();
        config.volumes.retain(|volume| volume.name != *name);
        let recorded = Box::pin(async { Ok(()) });
        self.end(name, &config, WhenOpen::Refuse, WhenHeld::Refuse, recorded).await?;
        now.config = config;
        Ok(())
    }

    async fn take_in(&self, name: &Name, now: &mut Now, target: &Config) -> Result<(), Failure> {
        let volume = target.volumes.iter().find(|volume| volume.name == *name);
        let Some(volume) = volume else { return Ok(()) };
        self.must_be_nobodys(&volume.medium)?;
        let mut config = now.config.clone();
        config.volumes.push(volume.clone());
        config.check_volumes()?;
        let recorded = Box::pin(async { Ok(()) });
        let begun = self.begin(name, &config, recorded).await;
        begun.inspect_err(|_| self.drive.set_bays(now.config.bay_count()))?;
        now.config = config;
        Ok(())
    }

    /// Gives a volume the settings that it is to have, but for those that cannot count now.
    fn set(&self, name: &Name, now: &mut Now, target: &Config) -> Result<(), Failure> {
        let other = target.volumes.iter().find(|volume| volume.name == *name);
        let volume = now.config.volumes.iter_mut().find(|volume| volume.name == *name);
        let (Some(other), Some(volume)) = (other, volume) else { return Ok(()) };
        *volume = VolumeConfig {
            name: volume.name.clone(),
            medium: volume.medium.clone(),
            journal_limit_bytes: volume.journal_limit_bytes,
            ..other.clone()
        };
        self.drive.set_settings(&name.to_string(), assemble::settings(volume))?;
        self.terms.set(volume);
        if volume.auto_insert == AutoInsert::WhenItReturns {
            self.drive.look_now();
        }
        Ok(())
    }
}

fn tell(difference: &Difference, outcome: &Outcome) {
    match outcome {
        Outcome::Counts | Outcome::CountsForNewSessions => tracing::info!("{difference}"),
        Outcome::NotLive(why) => tracing::warn!("{difference}: {why}"),
        Outcome::Refused(failure) => tracing::warn!("{difference}: refused: {failure}"),
    }
}
