//! A configuration file: any text is one, or is refused with the place in it; and one that is taken can be shown.

use crate::config::{ConfigFile, Environment, Overrides, resolve, summary};

pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let environment =
        Environment { home: Some("/home/u".into()), current: "/".into(), ..Environment::default() };
    match ConfigFile::parse(text, "hotbay.toml") {
        Ok(file) => {
            if let Ok(config) = resolve(file, Overrides::default(), &environment) {
                assert!(!config.volumes.is_empty() && !summary(&config).is_empty());
            }
        }
        Err(refused) => assert!(refused.message().starts_with("hotbay.toml"), "{refused}"),
    }
}
