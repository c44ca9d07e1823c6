//! Where things are when nobody says where.

use std::env;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// What of the process's surroundings decides where things are, as a value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    /// Whether the process is root.
    pub(crate) user: User,
    /// `XDG_RUNTIME_DIR`, where absolute.
    pub(crate) xdg_runtime: Option<PathBuf>,
    /// `XDG_STATE_HOME`, where absolute.
    pub(crate) xdg_state: Option<PathBuf>,
    /// `HOME`, where absolute.
    pub(crate) home: Option<PathBuf>,
    /// The current directory, from which relative paths are taken.
    pub(crate) current: PathBuf,
}

/// Whose directories are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum User {
    /// Those of the system.
    Root,
    /// Those of the user.
    #[default]
    Other,
}

impl Environment {
    /// That of this process.
    ///
    /// # Errors
    /// Where the current directory is not there any more.
    pub(crate) fn of_process() -> Result<Self, Failure> {
        let directory =
            |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let current = env::current_dir()
            .map_err(|error| Failure::new(format!("cannot tell the current directory: {error}")))?;
        Ok(Self {
            user: if rustix::process::geteuid().is_root() { User::Root } else { User::Other },
            xdg_runtime: directory("XDG_RUNTIME_DIR"),
            xdg_state: directory("XDG_STATE_HOME"),
            home: directory("HOME"),
            current,
        })
    }

    /// The state directory: `/var/lib/hotbay`, or `hotbay` in the XDG state directory.
    ///
    /// # Errors
    /// Where neither `XDG_STATE_HOME` nor `HOME` is set.
    pub(crate) fn state(&self) -> Result<PathBuf, Failure> {
        if self.user == User::Root {
            return Ok("/var/lib/hotbay".into());
        }
        let xdg = self.xdg_state.clone();
        xdg.or_else(|| self.home.as_ref().map(|home| home.join(".local/state")))
            .map(|directory| directory.join("hotbay"))
            .ok_or_else(|| {
                Failure::new("there is no state directory: neither XDG_STATE_HOME nor HOME is set")
                    .with_hint("name one with --state DIR")
            })
    }

    /// The run directory, for sockets: `/run/hotbay`, or `hotbay` in the XDG runtime directory, or where
    /// there is none `run` in the state directory, which is `state` where that is given.
    ///
    /// # Errors
    /// Those of [`state`](Self::state).
    pub(crate) fn run(&self, state: Option<&Path>) -> Result<PathBuf, Failure> {
        match (self.user, &self.xdg_runtime, state) {
            (User::Root, _, _) => Ok("/run/hotbay".into()),
            (User::Other, Some(xdg), _) => Ok(xdg.join("hotbay")),
            (User::Other, None, Some(state)) => Ok(state.join("run")),
            (User::Other, None, None) => Ok(self.state()?.join("run")),
        }
    }

    /// The control socket of a daemon that was not told another: what commands ask.
    ///
    /// # Errors
    /// Those of [`state`](Self::state).
    pub(crate) fn control(&self, state: Option<&Path>) -> Result<PathBuf, Failure> {
        Ok(self.run(state)?.join("control.sock"))
    }
}
