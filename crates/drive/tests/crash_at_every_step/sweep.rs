//! Ends a history at each of its steps, and looks what is found.

use std::fmt;
use std::time::Duration;

use crate::machine::parts::Ends;
use crate::machine::{Chance, Life, Machine, Moment};
use crate::scene::{Scene, Stage};

/// How long work of a disk takes at most: a few of a client's requests.
const WORK: Duration = Duration::from_millis(4);

/// One in so many recoveries is ended, too, at some of its steps.
const NESTED: u64 = 8;

/// At how many.
const NESTED_STEPS: usize = 2;

#[derive(Debug, Default)]
pub(crate) struct Sweep {
    pub(crate) histories: u64,
    pub(crate) steps: u64,
    pub(crate) crashes: u64,
    pub(crate) crashes_in_recovery: u64,
}

impl fmt::Display for Sweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { histories, steps, crashes, crashes_in_recovery } = self;
        write!(
            f,
            "{histories} histories, {steps} steps, {crashes} crashes, {crashes_in_recovery} more in recovery"
        )
    }
}

impl Sweep {
    /// Lets a scene happen once, and sweeps over it.
    pub(crate) fn over(&mut self, scene: Scene, seed: u64) -> Result<(), String> {
        let mut chance = Chance::new(seed);
        let machine = Machine::new(scene.plan(), chance.fork());
        let tape = machine.tape.clone();
        let life = Life::begin(&machine, chance.fork(), WORK)?;
        life.until_replayed()?;
        let (plan, parts) = (machine.plan.clone(), machine.parts.clone());
        life.run(async |drive| scene.play(&mut Stage { drive, machine }).await)?;
        // The end of the last step is a moment, too.
        tape.note("the end");
        life.kill();
        drop(parts);
        self.histories += 1;
        for moment in tape.take() {
            self.steps += 1;
            for ends in Ends::ALL {
                self.crashes += 1;
                let machine = Machine::after(&plan, &moment, ends, chance.next());
                self.recover(machine, &mut chance).map_err(|why| told(&moment, ends, &why))?;
            }
        }
        Ok(())
    }

    /// Starts a daemon on what is left, and now and then ends that, too.
    fn recover(&mut self, machine: Machine, chance: &mut Chance) -> Result<(), String> {
        let is_ended = chance.one_in(NESTED);
        if is_ended {
            machine.tape.arm();
        }
        let life = Life::begin(&machine, chance.fork(), WORK)?;
        life.until_replayed()?;
        let moments = machine.tape.take();
        look(&life, &machine)?;
        if is_ended && !moments.is_empty() {
            for _ in 0..NESTED_STEPS {
                let moment = &moments[chance.place_below(moments.len())];
                let ends = chance.pick(&Ends::ALL);
                self.crashes_in_recovery += 1;
                let again = Machine::after(&machine.plan, moment, ends, chance.next());
                let life = Life::begin(&again, chance.fork(), WORK)?;
                let looked = life.until_replayed().and_then(|()| look(&life, &again));
                looked.map_err(|why| format!("in recovery, {}", told(moment, ends, &why)))?;
            }
        }
        Ok(())
    }
}

/// Reads everything before and after the medium is back, and on the platter; all of it must agree.
fn look(life: &Life, machine: &Machine) -> Result<(), String> {
    let looked = (0..machine.plan.volumes)
        .try_for_each(|number| life.read_all(machine, number))
        .and_then(|()| life.settle_all(machine));
    looked.map_err(|why| format!("{why}\n{}", life.account()))
}

fn told(moment: &Moment, ends: Ends, why: &str) -> String {
    format!("{ends:?} at step {}, before {}: {why}", moment.step, moment.before)
}
