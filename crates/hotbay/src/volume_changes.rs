//! `STATE/volumes.json`: which volumes there are besides, or in spite of, the configuration, because `hotbay volume add` or
//! `remove` said so.
//!
//! The configuration file is its user's and is never written. So what was changed while the daemon ran is remembered here, and
//! counts at each start, until the configuration says the same: then the file is right again by itself.

use std::fs;
use std::io;
use std::path::Path;

use hotbay_media::MediumSpec;
use serde::{Deserialize, Serialize};

use crate::config::{Config, Name};
use crate::directory::write_whole;
use crate::failure::Failure;

const NAME: &str = "volumes.json";

/// The version of the file's layout. One that is newer is refused.
const FORMAT: u32 = 1;

/// What was changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct VolumeChanges {
    /// Volumes besides those of the configuration, in the order in which they came.
    added: Vec<(Name, MediumSpec)>,
    /// Volumes of the configuration that are none.
    removed: Vec<Name>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    added: Vec<StoredVolume>,
    removed: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredVolume {
    name: String,
    medium: String,
}

impl VolumeChanges {
    /// What is remembered in the state directory `directory`.
    ///
    /// # Errors
    /// Where that cannot be read. Nothing is guessed: a volume would be lost silently, or one that was removed be back.
    fn load(directory: &Path) -> Result<Self, Failure> {
        let path = directory.join(NAME);
        let read = match fs::read(&path) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => Err(error.to_string()),
        };
        read.map_err(|error| {
            Failure::new(format!("cannot read {}: {error}", path.display())).with_hint(
                "it says which volumes were added and removed by command; moved away, those of the configuration alone count",
            )
        })
    }

    /// The same without what a configuration says by itself, which is remembered no more.
    ///
    /// # Errors
    /// Those of [`load`](Self::load), and where that cannot be written.
    pub(crate) fn load_beside(configured: &Config, directory: &Path) -> Result<Self, Failure> {
        let known = Self::load(directory)?;
        let changes = known.beside(configured);
        if changes != known {
            changes.save(directory).map_err(|error| {
                let path = directory.join(NAME);
                Failure::new(format!("cannot write {}: {error}", path.display()))
                    .with_hint("make room in the state directory, or make it writable")
            })?;
        }
        Ok(changes)
    }

    fn parse(text: &[u8]) -> Result<Self, String> {
        let stored: Stored = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if stored.format != FORMAT {
            return Err(format!("its format {} is not known here", stored.format));
        }
        let volume = |volume: StoredVolume| {
            let medium = volume.medium.parse::<MediumSpec>().map_err(|error| error.to_string())?;
            Ok::<_, String>((volume.name.parse()?, medium))
        };
        Ok(Self {
            added: stored.added.into_iter().map(volume).collect::<Result<_, _>>()?,
            removed: stored.removed.iter().map(|name| name.parse()).collect::<Result<_, _>>()?,
        })
    }

    /// Remembers it in the state directory `directory`, durably.
    ///
    /// # Errors
    /// Those of the file system; what was remembered before still is.
    pub(crate) fn save(&self, directory: &Path) -> io::Result<()> {
        let volume = |(name, medium): &(Name, MediumSpec)| StoredVolume {
            name: name.to_string(),
            medium: medium.to_string(),
        };
        let stored = Stored {
            format: FORMAT,
            added: self.added.iter().map(volume).collect(),
            removed: self.removed.iter().map(Name::to_string).collect(),
        };
        write_whole(directory, NAME, &serde_json::to_vec_pretty(&stored)?)
    }

    /// A volume is one from now on, though the configuration does not say so.
    pub(crate) fn add(&mut self, configured: &Config, name: &Name, medium: &MediumSpec) {
        let in_file = configured.volumes.iter().find(|volume| volume.name == *name);
        if in_file.is_some_and(|volume| volume.medium == *medium) {
            self.removed.retain(|removed| removed != name);
        } else {
            self.added.push((name.clone(), medium.clone()));
        }
    }

    /// A volume is none from now on, whatever the configuration says.
    pub(crate) fn remove(&mut self, configured: &Config, name: &Name) {
        self.added.retain(|(added, _)| added != name);
        let in_file = configured.volumes.iter().any(|volume| volume.name == *name);
        if in_file && !self.removed.contains(name) {
            self.removed.push(name.clone());
        }
    }

    /// The same without what a configuration says by itself.
    #[must_use]
    pub(crate) fn beside(&self, configured: &Config) -> Self {
        let in_file = |name: &Name| configured.volumes.iter().any(|volume| volume.name == *name);
        let removed: Vec<Name> =
            self.removed.iter().filter(|name| in_file(name)).cloned().collect();
        let stands = |name: &Name| !in_file(name) || removed.contains(name);
        let added = self.added.iter().filter(|(name, _)| stands(name)).cloned().collect();
        Self { added, removed }
    }

    /// What the daemon runs with: the configuration with these changes.
    ///
    /// # Errors
    /// Where they contradict each other.
    pub(crate) fn applied_to(&self, configured: &Config) -> Result<Config, Failure> {
        let mut config = configured.clone();
        config.volumes.retain(|volume| !self.removed.contains(&volume.name));
        for (name, medium) in &self.added {
            config.volumes.push(configured.volume_of_defaults(name.clone(), medium.clone()));
        }
        if config.volumes.is_empty() {
            let path = configured.state.join(NAME);
            return Err(Failure::new("each volume of the configuration was removed by command")
                .with_hint(format!(
                    "move {} away, and all of them are there again",
                    path.display()
                )));
        }
        config.check_volumes()?;
        Ok(config)
    }

    /// Tells what nobody should find out by surprise.
    pub(crate) fn tell(&self) {
        for name in &self.removed {
            tracing::warn!(
                "volume {name} of the configuration is not served: 'hotbay volume remove' has removed it; \
                 'hotbay volume add {name}=MEDIUM' brings it back"
            );
        }
        for (name, medium) in &self.added {
            tracing::info!(
                "volume {name} on {medium} is served besides the configuration: 'hotbay volume add' has added it"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigFile, Environment, Overrides, resolve};

    fn configured(text: &str) -> Config {
        let environment = Environment { home: Some("/home/me".into()), ..Environment::default() };
        let file = ConfigFile::parse(text, "h.toml").unwrap();
        resolve(file, Overrides::default(), &environment).unwrap()
    }

    fn of(names: &[&str]) -> Config {
        let table = |name| format!("[[volume]]\nname = \"{name}\"\nmedium = \"/{name}.img\"\n");
        configured(&names.iter().map(table).collect::<String>())
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn medium(text: &str) -> MediumSpec {
        text.parse().unwrap()
    }

    fn served(changes: &VolumeChanges, configured: &Config) -> Vec<String> {
        let config = changes.applied_to(configured).unwrap();
        config.volumes.iter().map(|it| format!("{}={}", it.name, it.medium)).collect()
    }

    #[test]
    fn what_was_added_and_removed_counts_until_the_configuration_says_it() {
        let ab = of(&["a", "b"]);
        let mut changes = VolumeChanges::default();
        changes.remove(&ab, &name("a"));
        changes.add(&ab, &name("c"), &medium("/c.img"));
        assert_eq!(served(&changes, &ab), ["b=file:/b.img", "c=file:/c.img"]);

        let says_so = of(&["b", "c"]);
        assert_eq!(changes.beside(&says_so), VolumeChanges::default());
        assert_eq!(changes.beside(&ab), changes, "it does not say so");
        assert_eq!(
            served(&changes.beside(&of(&["b"])), &of(&["b"])),
            ["b=file:/b.img", "c=file:/c.img"]
        );
    }

    #[test]
    fn a_volume_that_is_back_is_that_of_the_configuration_or_of_the_command() {
        let ab = of(&["a", "b"]);
        let mut changes = VolumeChanges::default();
        changes.remove(&ab, &name("a"));
        let removed = changes.clone();
        changes.add(&ab, &name("a"), &medium("/a.img"));
        assert_eq!(changes, VolumeChanges::default());

        let mut changes = removed;
        changes.add(&ab, &name("a"), &medium("/other.img"));
        assert_eq!(served(&changes, &ab), ["b=file:/b.img", "a=file:/other.img"]);
        assert_eq!(changes.beside(&ab), changes, "the file's is another one");
        changes.remove(&ab, &name("a"));
        assert_eq!(served(&changes, &ab), ["b=file:/b.img"]);
    }

    #[test]
    fn contradictions_are_refused() {
        let a = of(&["a"]);
        let mut changes = VolumeChanges::default();
        changes.add(&a, &name("b"), &medium("/a.img"));
        let twin = changes.applied_to(&a).unwrap_err();
        assert!(twin.message().contains("have the same medium"), "{twin}");
        let mut changes = VolumeChanges::default();
        changes.remove(&a, &name("a"));
        assert!(changes.applied_to(&a).unwrap_err().hint().unwrap().contains("volumes.json"));
    }

    #[test]
    fn it_is_read_as_it_was_saved_and_damage_is_told() {
        let place = tempfile::tempdir().unwrap();
        assert_eq!(VolumeChanges::load(place.path()).unwrap(), VolumeChanges::default());
        let ab = of(&["a", "b"]);
        let mut changes = VolumeChanges::default();
        changes.remove(&ab, &name("a"));
        changes.add(&ab, &name("c"), &medium("/c.img?create=1MiB"));
        changes.save(place.path()).unwrap();
        assert_eq!(VolumeChanges::load(place.path()).unwrap(), changes);
        for damage in ["{", "{\"format\":2,\"added\":[],\"removed\":[]}"] {
            fs::write(place.path().join(NAME), damage).unwrap();
            let failure = VolumeChanges::load(place.path()).unwrap_err();
            assert!(failure.message().contains("volumes.json"), "{failure}");
        }
    }
}
