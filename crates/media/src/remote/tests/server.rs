//! A server that does as a test tells it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use hotbay_block::{
    Allocation, Checked, Device as _, Durability, ErrorKind, Extent, Hole, MemoryDevice, Reply,
    Request, Speed,
};
use hotbay_nbd::option::OptionCode;
use hotbay_nbd::uri::{NbdUri, ServerPlace};
use hotbay_nbd::{
    BlockSizes, Chunk, Command, CommandFlags, Dialect, ErrorNumber, Export, ExportDescription,
    Exports, ReplyTo, RequestHeader, ServerHandshake, SimpleReply, Step, Tls, TransmissionFlags,
};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

/// What the server says of its export.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    /// The best that it speaks.
    pub(super) dialect: Dialect,
    pub(super) flags: TransmissionFlags,
    pub(super) block_sizes: BlockSizes,
    pub(super) description: String,
    /// How many connections it has ever; to others it says nothing.
    pub(super) at_most: usize,
}

impl Default for Manner {
    fn default() -> Self {
        let flags = TransmissionFlags::HAS_FLAGS
            .with(TransmissionFlags::SEND_FLUSH)
            .with(TransmissionFlags::SEND_FUA)
            .with(TransmissionFlags::SEND_TRIM)
            .with(TransmissionFlags::SEND_CACHE)
            .with(TransmissionFlags::SEND_WRITE_ZEROES)
            .with(TransmissionFlags::SEND_FAST_ZERO);
        Self {
            dialect: Dialect::Extended,
            flags,
            block_sizes: BlockSizes::default(),
            description: String::new(),
            at_most: usize::MAX,
        }
    }
}

/// Serves one export named `disk` at a Unix socket; stops when it is dropped.
pub(super) struct TestServer {
    shared: Arc<Shared>,
    directory: tempfile::TempDir,
    listening: tokio::task::JoinHandle<()>,
}

struct Shared {
    manner: Manner,
    disk: Checked<MemoryDevice>,
    has_export: AtomicBool,
    held: watch::Sender<bool>,
    /// Counts the times that all connections were to be closed.
    hang_ups: watch::Sender<usize>,
    /// The number of the one connection that is to be closed.
    hang_up_one: watch::Sender<Option<usize>>,
    nonsense: watch::Sender<usize>,
    received: watch::Sender<usize>,
    connections: AtomicUsize,
    leavings: watch::Sender<usize>,
    /// What was received and is held.
    late: Mutex<Vec<(RequestHeader, Bytes)>>,
    /// How many requests are carried out before one is refused.
    refuse: Mutex<Option<(usize, ErrorNumber)>>,
}

impl TestServer {
    pub(super) fn start(size_bytes: u64, manner: Manner) -> Self {
        let shared = Arc::new(Shared {
            manner,
            disk: Checked::new(MemoryDevice::new(size_bytes)),
            has_export: true.into(),
            held: watch::Sender::new(false),
            hang_ups: watch::Sender::new(0),
            hang_up_one: watch::Sender::new(None),
            nonsense: watch::Sender::new(0),
            received: watch::Sender::new(0),
            connections: 0.into(),
            leavings: watch::Sender::new(0),
            late: Mutex::default(),
            refuse: Mutex::new(None),
        });
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("s")).unwrap();
        let serving = Arc::clone(&shared);
        let listening = tokio::spawn(async move {
            let mut ignored = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                let number = serving.connections.fetch_add(1, SeqCst);
                if number >= serving.manner.at_most {
                    ignored.push(stream);
                    continue;
                }
                tokio::spawn(serve(Arc::clone(&serving), number, stream));
            }
        });
        Self { shared, directory, listening }
    }

    pub(super) fn uri(&self, export: &str) -> NbdUri {
        let server = ServerPlace::Unix(self.directory.path().join("s"));
        NbdUri { server, export: export.to_owned(), tls: None, connections: None }
    }

    /// Carries out no request from here on.
    pub(super) fn hold(&self) {
        self.shared.received.send_replace(0);
        self.shared.held.send_replace(true);
    }

    pub(super) fn release(&self) {
        self.shared.held.send_replace(false);
    }

    /// Waits until so many requests have come since it was told to hold.
    pub(super) async fn received(&self, count: usize) {
        self.shared.received.subscribe().wait_for(|received| *received >= count).await.unwrap();
    }

    /// How many requests have come since it was told to hold.
    pub(super) fn all_received(&self) -> usize {
        *self.shared.received.borrow()
    }

    /// Closes all connections, and holds nothing any more.
    pub(super) fn hang_up(&self) {
        self.shared.hang_ups.send_modify(|count| *count += 1);
        self.release();
    }

    /// Closes the connection of this number, and goes on with the others.
    pub(super) fn hang_up_one(&self, number: usize) {
        self.shared.hang_up_one.send_replace(Some(number));
    }

    /// Closes all connections, and carries out what they had asked for so much later.
    pub(super) fn hang_up_and_be_late(&self, late: Duration) {
        let held = std::mem::take(&mut *self.shared.late.lock());
        assert!(!held.is_empty());
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            tokio::time::sleep(late).await;
            for (header, data) in held {
                answer(&shared, Dialect::Simple, header, data, &mut BytesMut::new()).await;
            }
        });
        self.hang_up();
    }

    /// Sends all clients what is no reply.
    pub(super) fn talk_nonsense(&self) {
        self.shared.nonsense.send_modify(|count| *count += 1);
        self.release();
    }

    pub(super) fn refuse_next(&self, number: ErrorNumber) {
        *self.shared.refuse.lock() = Some((0, number));
    }

    pub(super) fn refuse_after_next(&self, number: ErrorNumber) {
        *self.shared.refuse.lock() = Some((1, number));
    }

    pub(super) fn refuse_exports(&self) {
        self.shared.has_export.store(false, SeqCst);
    }

    pub(super) fn connections(&self) -> usize {
        self.shared.connections.load(SeqCst)
    }

    /// Waits until a client has said goodbye.
    pub(super) async fn left(&self) {
        self.shared.leavings.subscribe().wait_for(|count| *count > 0).await.unwrap();
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.listening.abort();
        self.hang_up();
    }
}

impl Exports for Shared {
    type Opened = ();

    fn contexts(&self) -> &'static [&'static str] {
        &["x-test:other", "base:allocation"]
    }

    fn list(&self) -> Vec<ExportDescription> {
        vec![ExportDescription { name: "disk".to_owned(), description: String::new() }]
    }

    fn open(&self, name: &str) -> Option<(Export, ())> {
        let is_there = name == "disk" && self.has_export.load(SeqCst);
        let export = || Export {
            name: name.to_owned(),
            description: self.manner.description.clone(),
            size_bytes: self.disk.info().size_bytes,
            flags: self.manner.flags,
            block_sizes: self.manner.block_sizes,
        };
        is_there.then(|| (export(), ()))
    }
}

async fn serve(shared: Arc<Shared>, number: usize, stream: UnixStream) {
    let mut hang_up_one = shared.hang_up_one.subscribe();
    let (mut hang_ups, mut nonsense) = (shared.hang_ups.subscribe(), shared.nonsense.subscribe());
    let (mut stream, mut input) = (stream, BytesMut::new());
    let ends = async {
        tokio::select! {
            _ = hang_ups.changed() => None,
            _ = hang_up_one.wait_for(|one| *one == Some(number)) => None,
            _ = nonsense.changed() => Some([0xee; 64]),
        }
    };
    let said = tokio::select! {
        biased;
        said = ends => said,
        _ = talk(&shared, &mut stream, &mut input) => None,
    };
    if let Some(bytes) = said {
        let _ = stream.write_all(&bytes).await;
        // The client is the one to hang up.
        while stream.read_buf(&mut input).await.is_ok_and(|count| count > 0) {}
    }
}

/// One client from its first byte to its last; `None` where it has gone.
async fn talk(shared: &Shared, stream: &mut UnixStream, input: &mut BytesMut) -> Option<()> {
    let (mut handshake, mut output) = (ServerHandshake::new(Tls::Off), BytesMut::new());
    let (mut flags_are_taken, mut said) = (false, BytesMut::new());
    let dialect = loop {
        admit(shared.manner.dialect, &mut flags_are_taken, input, &mut said, &mut output);
        let step = handshake.advance(&mut said, &mut output, shared).ok()?;
        stream.write_all_buf(&mut output).await.ok()?;
        match step {
            Step::Receive => receive(stream, input).await?,
            Step::Send => {}
            Step::Transmit(chosen) => break chosen.dialect,
            Step::Aborted | Step::StartTls => return None,
        }
    };
    loop {
        let header = loop {
            match RequestHeader::decode(input, dialect).ok()? {
                Some(header) => break header,
                None => receive(stream, input).await?,
            }
        };
        let payload = usize::try_from(header.payload_bytes(dialect)).unwrap();
        assert!(payload <= usize::try_from(shared.manner.block_sizes.maximum).unwrap());
        while input.len() < payload {
            receive(stream, input).await?;
        }
        let data = input.split_to(payload).freeze();
        if header.command == Command::Disconnect {
            shared.leavings.send_modify(|count| *count += 1);
            return None;
        }
        if *shared.held.borrow() {
            shared.late.lock().push((header, data.clone()));
        }
        shared.received.send_modify(|count| *count += 1);
        shared.held.subscribe().wait_for(|held| !held).await.ok()?;
        answer(shared, dialect, header, data, &mut output).await;
        stream.write_all_buf(&mut output).await.ok()?;
    }
}

async fn receive(stream: &mut UnixStream, input: &mut BytesMut) -> Option<()> {
    (stream.read_buf(input).await.ok()? > 0).then_some(())
}

/// Passes on what the client says, but for the dialects that this server does not speak.
fn admit(
    best: Dialect,
    flags_are_taken: &mut bool,
    input: &mut BytesMut,
    said: &mut BytesMut,
    output: &mut BytesMut,
) {
    if !*flags_are_taken && input.len() >= 4 {
        said.unsplit(input.split_to(4));
        *flags_are_taken = true;
    }
    while *flags_are_taken && input.len() >= 16 {
        let mut header = &input[8..16];
        let (option, length) = (OptionCode(header.get_u32()), header.get_u32());
        let whole = 16 + usize::try_from(length).unwrap();
        if input.len() < whole {
            return;
        }
        let bytes = input.split_to(whole);
        let needs = match option {
            OptionCode::EXTENDED_HEADERS => Dialect::Extended,
            OptionCode::STRUCTURED_REPLY => Dialect::Structured,
            _ => Dialect::Simple,
        };
        if needs <= best {
            said.unsplit(bytes);
        } else {
            output.put_u64(0x0003_e889_0455_65a9);
            output.put_u32(option.0);
            output.put_u64((1 << 31 | 1) << 32);
        }
    }
}

async fn answer(
    shared: &Shared,
    dialect: Dialect,
    header: RequestHeader,
    data: Bytes,
    output: &mut BytesMut,
) {
    let to = ReplyTo { cookie: header.cookie, offset: header.offset };
    if let Some(error) = due_refusal(shared) {
        return put_error(dialect, to, error, output);
    }
    if header.command == Command::BlockStatus {
        let extent = Extent::new(header.offset, header.length).unwrap();
        let pieces = shared.disk.status(extent, 100).await.unwrap();
        let flags = |allocation| if allocation == Allocation::Hole { 3 } else { 0 };
        let told = |piece: hotbay_block::Status| (piece.extent.length(), flags(piece.allocation));
        let extents: Vec<_> = pieces.into_iter().map(told).collect();
        return Chunk::Status { context: 1, extents: &extents }.encode(to, true, dialect, output);
    }
    match shared.disk.execute(request(shared, header, data)).answer().await {
        Ok(Reply::Data(payload)) => put_read(dialect, to, &payload.into_bytes(), output),
        Ok(Reply::Done) if dialect == Dialect::Extended => {
            Chunk::None.encode(to, true, dialect, output);
        }
        Ok(Reply::Done) => SimpleReply { cookie: to.cookie, result: Ok(()) }.encode(output),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Invalid);
            put_error(dialect, to, ErrorNumber::Invalid, output);
        }
    }
}

fn put_error(dialect: Dialect, to: ReplyTo, error: ErrorNumber, output: &mut BytesMut) {
    match dialect {
        Dialect::Simple => SimpleReply { cookie: to.cookie, result: Err(error) }.encode(output),
        _ => {
            let chunk =
                Chunk::Error { error, text: "as the test\nwants it", offset: Some(to.offset) };
            chunk.encode(to, true, dialect, output);
        }
    }
}

/// In chunks the last bytes come first, and what is zeroes is not sent.
fn put_read(dialect: Dialect, to: ReplyTo, bytes: &[u8], output: &mut BytesMut) {
    if dialect == Dialect::Simple {
        SimpleReply { cookie: to.cookie, result: Ok(()) }.encode(output);
        return output.extend_from_slice(bytes);
    }
    let (front, back) = bytes.split_at(bytes.len() / 3);
    let second = to.offset + u64::try_from(front.len()).unwrap();
    for (done, offset, bytes) in [(false, second, back), (true, to.offset, front)] {
        let length = u32::try_from(bytes.len()).unwrap();
        if bytes.is_empty() {
            Chunk::None.encode(to, done, dialect, output);
        } else if bytes.iter().all(|byte| *byte == 0) {
            Chunk::Hole { offset, length }.encode(to, done, dialect, output);
        } else {
            Chunk::Data { offset, length }.encode(to, done, dialect, output);
            output.extend_from_slice(bytes);
        }
    }
}

fn due_refusal(shared: &Shared) -> Option<ErrorNumber> {
    let mut refuse = shared.refuse.lock();
    match refuse.take()? {
        (0, number) => Some(number),
        (after, number) => {
            *refuse = Some((after - 1, number));
            None
        }
    }
}

/// Asserts that nothing is asked that was not offered.
fn request(shared: &Shared, header: RequestHeader, data: Bytes) -> Request {
    let RequestHeader { command, flags, offset, length, .. } = header;
    let offers = |flag| assert!(shared.manner.flags.contains(flag), "{command} was not offered");
    let durability = match flags.contains(CommandFlags::FUA) {
        true => Durability::Stable,
        false => Durability::Deferred,
    };
    if durability == Durability::Stable {
        offers(TransmissionFlags::SEND_FUA);
    }
    let extent = Extent::new(offset, length).unwrap();
    let block = u64::from(shared.manner.block_sizes.minimum);
    assert!(
        offset.is_multiple_of(block) && extent.end().is_multiple_of(block),
        "{command} {extent}"
    );
    match command {
        Command::Read => {
            assert!(length <= shared.manner.block_sizes.maximum.into());
            Request::read(extent)
        }
        Command::Write => Request::Write { extent, data, durability },
        Command::Flush => Request::Flush,
        Command::Trim => {
            offers(TransmissionFlags::SEND_TRIM);
            Request::Trim { extent, durability }
        }
        Command::Cache => {
            offers(TransmissionFlags::SEND_CACHE);
            Request::Cache { extent }
        }
        Command::WriteZeroes => {
            offers(TransmissionFlags::SEND_WRITE_ZEROES);
            let hole = match flags.contains(CommandFlags::NO_HOLE) {
                true => Hole::Forbidden,
                false => Hole::Allowed,
            };
            let speed = match flags.contains(CommandFlags::FAST_ZERO) {
                true => Speed::Fast,
                false => Speed::Any,
            };
            if speed == Speed::Fast {
                offers(TransmissionFlags::SEND_FAST_ZERO);
            }
            Request::Zero { extent, hole, speed, durability }
        }
        Command::Disconnect | Command::BlockStatus | Command::Other(_) => {
            panic!("{command} is no request")
        }
    }
}
