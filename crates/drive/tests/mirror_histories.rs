//! Random histories of a mirror: one, another or all media are pulled, lose what they have not synced and come back in any
//! order, and the daemon is killed. No acknowledged write is lost, and in the end all copies are equal.
//!
//! Two copies or three, and the mirror as a disk of its own or as a partition of one. `HOTBAY_HISTORIES=2000` tries more of them,
//! `HOTBAY_SECONDS=600` as many as can be told in that time, `HOTBAY_SEED=…` begins with that one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant as RealInstant};

use hotbay_block::Device;
use hotbay_drive::{Drive, JoinedDisk, Joining, Mirror, Part, State, WhenOccupied};
use support::*;
use tokio::time::{Instant, sleep};

const UNIT: u64 = 4096;
const SIZE_BYTES: u64 = 6 << 20;
const UNITS: u64 = SIZE_BYTES / UNIT;
const COPIES: [&str; 3] = ["a", "b", "c"];
/// The volume beside the mirror, where that is a partition.
const BESIDE: &str = "system";

/// Numbers from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// Some units near each other, often the same ones.
    fn place(&mut self) -> (u64, u64) {
        let count = 1 + self.below(12);
        let from = match self.below(3) {
            0 => self.below(40),
            _ => self.below(UNITS - count),
        };
        (from, count)
    }
}

/// What each unit may hold: one byte throughout; two where a write was under way in a kill.
struct Model(Vec<Vec<u8>>);

impl Model {
    fn written(&mut self, from: u64, count: u64, fill: u8) {
        self.of(from, count).iter_mut().for_each(|unit| *unit = vec![fill]);
    }

    fn perhaps_written(&mut self, from: u64, count: u64, fill: u8) {
        self.of(from, count).iter_mut().for_each(|unit| unit.push(fill));
    }

    fn of(&mut self, from: u64, count: u64) -> &mut [Vec<u8>] {
        &mut self.0[usize::try_from(from).unwrap()..usize::try_from(from + count).unwrap()]
    }

    /// What was read must be possible, and then it is so.
    fn check(&mut self, from: u64, bytes: &[u8], who: &str) {
        let units = bytes.chunks(usize::try_from(UNIT).unwrap());
        for (place, found) in units.enumerate() {
            let at = usize::try_from(from).unwrap() + place;
            assert_filled(found, found[0], who);
            assert!(
                self.0[at].contains(&found[0]),
                "{who}: unit {at} holds {} and not {:?}",
                found[0],
                self.0[at]
            );
            self.0[at] = vec![found[0]];
        }
    }
}

/// How clients reach the mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    Alone,
    AsPartition,
}

/// What has happened in histories.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    histories: u64,
    deeds: u64,
    kills: u64,
    /// In the time of the histories.
    lived: Duration,
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.histories += other.histories;
        self.deeds += other.deeds;
        self.kills += other.kills;
        self.lived += other.lived;
    }
}

struct History {
    world: World,
    copies: &'static [&'static str],
    reached: Reached,
    records: Arc<MemoryMirrorRecords>,
    dice: Dice,
    model: Model,
    fill: u8,
    count: Count,
}

/// What a stay of the daemon ends with.
enum End {
    Kill,
    Stop,
}

impl History {
    fn new(seed: u64) -> Self {
        let settings = |settings: &mut hotbay_drive::VolumeSettings| {
            settings.journal_limit_bytes = 64 << 20;
            settings.spill_batch_bytes = 1 << 20;
        };
        let size = usize::try_from(SIZE_BYTES).unwrap();
        let copies = &COPIES[..if seed & 2 == 0 { 2 } else { 3 }];
        let reached = if seed & 1 == 0 { Reached::Alone } else { Reached::AsPartition };
        let world = World::empty(4).with(BESIDE, SIZE, settings);
        let world = copies.iter().fold(world, |world, copy| world.with(copy, size, settings));
        for copy in copies {
            // A client's unit is not torn by itself.
            world.disk(&format!("disk-{copy}")).never_tear_within(usize::try_from(UNIT).unwrap());
        }
        let model = Model((0..UNITS).map(|_| vec![0]).collect());
        let (records, dice, count) = (Arc::default(), Dice(seed), Count::default());
        Self { world, copies, reached, records, dice, model, fill: 0, count }
    }

    async fn mirror(&self, drive: &Drive) -> Arc<Mirror> {
        let volumes = drive.volumes();
        let records = Arc::clone(&self.records) as _;
        Arc::new(Mirror::start_of(drive, "data", &volumes[1..], records).await.unwrap())
    }

    fn device(&self, drive: &Drive, mirror: &Arc<Mirror>) -> Arc<dyn Device> {
        if self.reached == Reached::Alone {
            return mirror.open();
        }
        let beside = Part::Volume(drive.volume(BESIDE).unwrap());
        let parts = vec![beside, Part::Mirror(Arc::clone(mirror))];
        let disk = JoinedDisk::new("disk", Joining::Partitions, parts).unwrap();
        Partition::at(&disk.open().unwrap(), 2 * MIB, SIZE_BYTES)
    }

    fn copy(&mut self) -> &'static str {
        self.copies[usize::try_from(self.dice.below(self.copies.len() as u64)).unwrap()]
    }

    /// What has happened in it.
    fn tell(mut self) -> Count {
        for _ in 0..3 {
            let process = Process::start(&self.world);
            let end = process.run(async |drive| self.live(&drive).await);
            match end {
                End::Kill => {
                    self.count.kills += 1;
                    process.kill();
                }
                End::Stop => process.run(async |drive| drive.stop().await.unwrap()),
            }
        }
        let process = Process::start(&self.world);
        process.run(async |drive| self.end(&drive).await);
        Count { histories: 1, ..self.count }
    }

    async fn live(&mut self, drive: &Drive) -> End {
        let began = Instant::now();
        let mirror = self.mirror(drive).await;
        let device = self.device(drive, &mirror);
        // What was written before a kill is in the page cache of its medium, until this.
        flush(&device).await;
        for _ in 0..20 + self.dice.below(40) {
            self.count.deeds += 1;
            match self.dice.below(20) {
                0..8 => self.write(&device).await,
                8..11 => self.read(&device).await,
                11 => flush(&device).await,
                12..14 => sleep(Duration::from_millis(self.dice.below(8000))).await,
                14 => self.yank(),
                15 => drop(drive.pull(self.copy()).await),
                16 => drop(drive.eject(self.copy()).await),
                _ => self.put_back(drive).await,
            }
        }
        let end = match self.dice.below(3) {
            0 => {
                mirror.stop().await;
                End::Stop
            }
            _ => {
                // A disk that went in the very moment of the kill has taken what nobody had flushed with it: retention dies with
                // the daemon. What is tried here is a kill after each removal was noticed.
                sleep(Duration::from_secs(1)).await;
                self.begin_to_write(&device).await;
                End::Kill
            }
        };
        self.count.lived += began.elapsed();
        end
    }

    fn next_fill(&mut self) -> u8 {
        self.fill = self.fill % 255 + 1;
        self.fill
    }

    async fn write(&mut self, device: &Arc<dyn Device>) {
        let ((from, count), fill) = (self.dice.place(), self.next_fill());
        let request = match self.dice.below(4) {
            0 => writing_through(from * UNIT, count * UNIT, fill),
            _ => writing(from * UNIT, count * UNIT, fill),
        };
        device.execute(request).answer().await.unwrap();
        self.model.written(from, count, fill);
    }

    async fn begin_to_write(&mut self, device: &Arc<dyn Device>) {
        let ((from, count), fill) = (self.dice.place(), self.next_fill());
        drop(begin(device, writing(from * UNIT, count * UNIT, fill)));
        for _ in 0..self.dice.below(12) {
            tokio::task::yield_now().await;
        }
        self.model.perhaps_written(from, count, fill);
    }

    async fn read(&mut self, device: &Arc<dyn Device>) {
        let (from, count) = self.dice.place();
        // It may have to wait for a medium that nobody brings; then it fails, which is no lie.
        if let Ok(bytes) = try_read(device, from * UNIT, count * UNIT).await {
            self.model.check(from, &bytes, "a client");
        }
    }

    fn yank(&mut self) {
        let copy = self.copy();
        self.world.disk(&format!("disk-{copy}")).yank();
    }

    async fn put_back(&mut self, drive: &Drive) {
        let copy = self.copy();
        self.world.disk(&format!("disk-{copy}")).plug();
        drop(drive.insert(copy, None, WhenOccupied::Refuse).await);
    }

    async fn end(&mut self, drive: &Drive) {
        let began = Instant::now();
        let mirror = self.mirror(drive).await;
        for copy in self.copies {
            self.world.disk(&format!("disk-{copy}")).plug();
            until_present(drive, copy).await;
        }
        for copy in self.copies {
            until_in_sync(&mirror, copy, true).await;
        }
        let device = self.device(drive, &mirror);
        self.model.check(0, &read(&device, 0, SIZE_BYTES).await, "the mirror");
        flush(&device).await;
        for copy in self.copies {
            let durable = self.world.disk(&format!("disk-{copy}")).durable();
            self.model.check(0, &durable, copy);
        }
        self.count.lived += began.elapsed();
    }
}

async fn until_present(drive: &Drive, copy: &str) {
    for _ in 0..100 {
        if drive.volume(copy).unwrap().state() == State::Present {
            return;
        }
        drop(drive.insert(copy, None, WhenOccupied::Refuse).await);
        sleep(Duration::from_secs(1)).await;
    }
    panic!("{copy} stays away");
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|value| value.parse().ok())
}

#[test]
fn no_history_loses_a_write_or_leaves_a_difference() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let first = number("HOTBAY_SEED").unwrap_or_else(|| u64::from(now.subsec_nanos()));
    let most = match number("HOTBAY_SECONDS") {
        Some(_) => u64::MAX,
        None => number("HOTBAY_HISTORIES").unwrap_or(20),
    };
    let time = number("HOTBAY_SECONDS").map_or(Duration::MAX, Duration::from_secs);
    let (began, mut count) = (RealInstant::now(), Count::default());
    while count.histories < most && began.elapsed() < time {
        let seed = first.wrapping_add(count.histories);
        eprintln!("HOTBAY_SEED={seed}");
        count += History::new(seed).tell();
    }
    let Count { histories, deeds, kills, lived } = count;
    println!(
        "{histories} histories, {deeds} deeds, {kills} kills, {} s of their time",
        lived.as_secs()
    );
}
