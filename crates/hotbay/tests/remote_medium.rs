//! The remote medium is a device over servers that were not made for its tests: this project's own, and, where they are
//! installed, nbdkit and qemu-nbd.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use hotbay_block::{Checked, Device, Medium, MemoryDevice, conformance};
use hotbay_media::{MediumSpec, Shelf};
use hotbay_server::{
    ExportDescription, Exports, Limits, ListenAddress, OpenedExport, Peer, Server,
};

const SIZE_BYTES: u64 = 6 << 20;

async fn open(socket: &Path) -> Arc<dyn Medium> {
    let word = format!("nbd+unix:///?socket={}", socket.display());
    Shelf::new().open(&word.parse::<MediumSpec>().unwrap(), "test").await.unwrap()
}

struct One(Arc<dyn Device>);

impl Exports for One {
    fn list(&self, _: &Peer) -> Vec<ExportDescription> {
        vec![ExportDescription { name: "disk".to_owned(), description: String::new() }]
    }

    fn open(&self, name: &str, _: &Peer) -> Option<OpenedExport> {
        matches!(name, "" | "disk").then(|| OpenedExport {
            name: "disk".to_owned(),
            description: String::new(),
            device: Arc::clone(&self.0),
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_server_of_this_project() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let exports = Arc::new(One(Arc::new(MemoryDevice::new(SIZE_BYTES))));
    let server = Server::bind(&[ListenAddress::Unix(socket.clone())], exports, Limits::default())
        .await
        .unwrap();
    let serving = tokio::spawn(server.run(std::future::pending()));
    conformance::check(&Checked::new(open(&socket).await)).await;
    serving.abort();
}

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs the suite over a server, where it is installed, that serves `image` at `socket`.
async fn over(program: &str, arguments: impl Fn(&str, &str) -> Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    let (image, socket) = (directory.path().join("image"), directory.path().join("s"));
    std::fs::File::create(&image).unwrap().set_len(SIZE_BYTES).unwrap();
    let arguments = arguments(image.to_str().unwrap(), socket.to_str().unwrap());
    let spawned = Command::new(program).args(arguments).stderr(Stdio::null()).spawn();
    let Ok(process) = spawned else {
        println!("{program} is not installed, so nothing was tested");
        return;
    };
    let mut process = Process(process);
    while tokio::net::UnixStream::connect(&socket).await.is_err() {
        assert_eq!(process.0.try_wait().unwrap(), None, "{program} ended");
        tokio::task::yield_now().await;
    }
    conformance::check(&Checked::new(open(&socket).await)).await;
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_nbdkit() {
    over("nbdkit", |image, socket| words(&format!("--foreground --unix {socket} file {image}")))
        .await;
}

/// Little of the protocol, and short requests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_an_nbdkit_that_can_do_little() {
    over("nbdkit", |image, socket| {
        words(&format!(
            "--foreground --unix {socket} --filter=blocksize-policy --filter=nozero \
             file {image} blocksize-maximum=65536 blocksize-error-policy=error"
        ))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_an_nbdkit_that_takes_whole_blocks() {
    over("nbdkit", |image, socket| {
        words(&format!(
            "--foreground --unix {socket} --filter=blocksize-policy file {image} \
             blocksize-minimum=4096 blocksize-preferred=4096 blocksize-maximum=1048576 \
             blocksize-error-policy=error"
        ))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_qemu_nbd() {
    over("qemu-nbd", |image, socket| {
        words(&format!(
            "--persistent --shared=8 --discard=unmap --format=raw --socket={socket} {image}"
        ))
    })
    .await;
}
