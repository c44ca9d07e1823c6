//! The hooks that run at the moment; they may be exchanged.

use std::sync::Arc;

use hotbay_drive::Drive;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::config::HookConfig;
use crate::hooks::{self, Facts};

/// The tasks of the hooks; they end when this is dropped.
pub(crate) struct HookTasks {
    facts: Facts,
    drive: Arc<Drive>,
    running: Mutex<Vec<(HookConfig, JoinSet<()>)>>,
}

impl HookTasks {
    /// None yet.
    pub(crate) fn new(facts: Facts, drive: Arc<Drive>) -> Self {
        Self { facts, drive, running: Mutex::default() }
    }

    /// Runs these and no others; within a tokio runtime. Those that run already go on where they are, the others begin with the event
    /// after number `seen`. A command of one that ends is killed.
    pub(crate) fn run_these(&self, hooks: &[HookConfig], seen: u64) {
        let mut running = self.running.lock();
        let mut before = std::mem::take(&mut *running);
        for hook in hooks {
            let place = before.iter().position(|(earlier, _)| earlier == hook);
            let (_, task) = place.map_or_else(
                || (hook.clone(), self.begun(hook, seen)),
                |place| before.swap_remove(place),
            );
            running.push((hook.clone(), task));
        }
    }

    /// Ends all of them.
    pub(crate) fn stop(&self) {
        self.running.lock().clear();
    }

    fn begun(&self, hook: &HookConfig, seen: u64) -> JoinSet<()> {
        let mut task = JoinSet::new();
        task.spawn(hooks::run(hook.clone(), self.facts.clone(), Arc::clone(&self.drive), seen));
        task
    }
}
