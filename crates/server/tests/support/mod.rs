//! Exports for tests with real sockets.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use hotbay_block::{Device, DeviceInfo, Execution, MemoryDevice, Reply, Request};
use hotbay_server::{
    ExportDescription, Exports, Limits, ListenAddress, OpenedExport, Peer, Server, Sessions,
};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// Named devices; the empty name is that of the first.
#[derive(Default)]
pub(crate) struct Named(BTreeMap<String, Arc<dyn Device>>);

impl Named {
    pub(crate) fn with(mut self, name: &str, device: impl Device + 'static) -> Self {
        self.0.insert(name.to_owned(), Arc::new(device));
        self
    }

    /// `disk`, 1 MiB, and `fixed`, which is read-only.
    pub(crate) fn two() -> Self {
        Self::default()
            .with("disk", MemoryDevice::new(1 << 20))
            .with("fixed", MemoryDevice::new(4096).read_only())
    }
}

impl Exports for Named {
    fn list(&self, _: &Peer) -> Vec<ExportDescription> {
        let names = self.0.keys().cloned();
        names.map(|name| ExportDescription { name, description: String::new() }).collect()
    }

    fn open(&self, name: &str, _: &Peer) -> Option<OpenedExport> {
        let found =
            if name.is_empty() { self.0.first_key_value() } else { self.0.get_key_value(name) };
        found.map(|(name, device)| OpenedExport {
            name: name.clone(),
            description: String::new(),
            device: Arc::clone(device),
        })
    }
}

/// A device whose reads wait for the gate to open.
#[derive(Debug)]
pub(crate) struct Gated {
    pub(crate) open: watch::Receiver<bool>,
    pub(crate) waiting: watch::Sender<usize>,
}

impl Device for Gated {
    fn info(&self) -> DeviceInfo {
        MemoryDevice::new(1 << 20).info()
    }

    fn execute(&self, request: Request) -> Execution {
        let Request::Read { extent, mut buffer, .. } = request else {
            return Execution::Done(Ok(Reply::Done));
        };
        let mut open = self.open.clone();
        self.waiting.send_modify(|count| *count += 1);
        Execution::later(async move {
            let _ = open.wait_for(|it| *it).await;
            buffer.resize(extent.len_in_memory(), 1);
            Ok(Reply::Data(buffer.freeze().into()))
        })
    }
}

/// A server that runs.
pub(crate) struct Running {
    pub(crate) addresses: Vec<ListenAddress>,
    pub(crate) sessions: Sessions,
    stop: oneshot::Sender<()>,
    run: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn start(
        addresses: &[ListenAddress],
        exports: impl Exports + 'static,
        limits: Limits,
    ) -> Self {
        let server = Server::bind(addresses, Arc::new(exports), limits).await.expect("it binds");
        let (stop, stopped) = oneshot::channel();
        let (addresses, sessions) = (server.addresses(), server.sessions());
        let run = tokio::spawn(server.run(async move { drop(stopped.await) }));
        Self { addresses, sessions, stop, run }
    }

    /// Asks it to stop; what is returned completes when it has.
    pub(crate) fn stop(self) -> impl Future<Output = ()> {
        drop(self.stop);
        let run = self.run;
        async move { run.await.expect("it does not panic") }
    }
}
