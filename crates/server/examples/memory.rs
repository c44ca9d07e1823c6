//! Serves one export that is kept in memory: the smallest server that this crate makes.
//!
//! ```text
//! cargo run --release -p hotbay-server --example memory -- 256 unix:/tmp/m.sock [tcp:127.0.0.1:10809]…
//! nbdinfo nbd+unix:///?socket=/tmp/m.sock
//! ```
//! The first argument is the size in MiB. SIGTERM or SIGINT ends it.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use hotbay_block::MemoryDevice;
use hotbay_server::{
    ExportDescription, Exports, Limits, ListenAddress, OpenedExport, Peer, Server,
};
use tokio::signal::unix::{SignalKind, signal};

const NAME: &str = "memory";

struct One(Arc<MemoryDevice>);

impl Exports for One {
    fn list(&self, _: &Peer) -> Vec<ExportDescription> {
        vec![ExportDescription { name: NAME.to_owned(), description: "kept in memory".to_owned() }]
    }

    fn open(&self, name: &str, _: &Peer) -> Option<OpenedExport> {
        ["", NAME].contains(&name).then(|| OpenedExport {
            name: NAME.to_owned(),
            description: "kept in memory".to_owned(),
            device: self.0.clone(),
        })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mebibytes: u64 = arguments.next().ok_or("usage: memory MEBIBYTES ADDRESS…")?.parse()?;
    let addresses =
        arguments.map(|text| text.parse()).collect::<Result<Vec<ListenAddress>, _>>()?;
    let exports = Arc::new(One(Arc::new(MemoryDevice::new(mebibytes << 20))));
    let server = Server::bind(&addresses, exports, Limits::default()).await?;
    for address in server.addresses() {
        println!("listening on {address}");
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    server
        .run(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
        .await;
    Ok(())
}
