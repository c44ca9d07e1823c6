//! Which copies are in sync, and in which granules the others are behind.

use std::ops::Range;

use super::granules::Set;

/// One copy's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has everything that was acknowledged.
    InSync,
    /// It has everything but what was changed in these granules.
    Behind {
        granules: Set,
        /// It is catching up: changes of granules in which it is not behind are made to it as well.
        catching_up: bool,
    },
}

/// Those of all copies, in their order. At least one is in sync.
#[derive(Clone, Debug)]
pub(super) struct Standings {
    of: Vec<Standing>,
    /// Counts the changes of who is in sync.
    generation: u64,
    /// Counts the contents: an older copy that is taken for the newest is another one to clients.
    content: u64,
    /// The generation in which each copy was in sync last.
    last_in_sync: Vec<u64>,
    /// Copies that have failed a change which others have, until they are behind.
    suspects: Vec<usize>,
}

impl Standings {
    /// Standings as they are recorded.
    pub(super) fn new(
        of: Vec<Standing>,
        content: u64,
        generation: u64,
        last_in_sync: Vec<u64>,
    ) -> Self {
        debug_assert!(of.contains(&Standing::InSync), "one copy has everything");
        let mut standings = Self { of, generation, content, last_in_sync, suspects: Vec::new() };
        standings.next_generation();
        standings
    }

    /// The number of the present generation, and of the last one in which each copy was in sync.
    pub(super) fn generations(&self) -> (u64, &[u64]) {
        (self.generation, &self.last_in_sync)
    }

    /// The number of the content.
    pub(super) fn content(&self) -> u64 {
        self.content
    }

    /// Whether a copy may have something that `other` lacks: it was in sync at least as long.
    pub(super) fn is_as_new(&self, copy: usize, other: usize) -> bool {
        self.last_in_sync[copy] >= self.last_in_sync[other]
    }

    pub(super) fn is_in_sync(&self, copy: usize) -> bool {
        self.of[copy] == Standing::InSync
    }

    /// The copies in sync.
    pub(super) fn in_sync(&self) -> impl Iterator<Item = usize> {
        (0..self.of.len()).filter(|copy| self.is_in_sync(*copy))
    }

    /// Whether all are in sync, with no doubt about one.
    pub(super) fn all_in_sync(&self) -> bool {
        self.suspects.is_empty() && self.of.iter().all(|standing| *standing == Standing::InSync)
    }

    /// In what a copy is behind; `None` where it is in sync.
    pub(super) fn behind(&self, copy: usize) -> Option<Behind<'_>> {
        match &self.of[copy] {
            Standing::InSync => None,
            Standing::Behind { granules, .. } => Some(Behind(granules)),
        }
    }

    /// Whether a copy holds what was acknowledged of these granules.
    pub(super) fn has(&self, copy: usize, touched: Range<usize>) -> bool {
        match &self.of[copy] {
            Standing::InSync => true,
            Standing::Behind { granules, .. } => !granules.contains_any_in_range(touched),
        }
    }

    /// The copies to which a change of these granules is to be made; the others are behind in them from now on.
    pub(super) fn begin_change(&mut self, touched: Range<usize>) -> Vec<usize> {
        let mut copies = Vec::with_capacity(self.of.len());
        for (copy, standing) in self.of.iter_mut().enumerate() {
            match standing {
                Standing::InSync => copies.push(copy),
                Standing::Behind { granules, catching_up } => {
                    match *catching_up && !granules.contains_any_in_range(touched.clone()) {
                        true => copies.push(copy),
                        false => granules.insert_range(touched.clone()),
                    }
                }
            }
        }
        copies
    }

    /// Copies have failed a change that others have. Those that are behind anyway are so in these granules too; those in sync
    /// are suspects until they are behind.
    pub(super) fn failed(&mut self, copies: &[usize], touched: Range<usize>) {
        for &copy in copies {
            match &mut self.of[copy] {
                Standing::InSync => self.suspects.push(copy),
                Standing::Behind { granules, .. } => granules.insert_range(touched.clone()),
            }
        }
    }

    /// The copies that are to be behind, because they have failed.
    pub(super) fn suspects(&self) -> &[usize] {
        &self.suspects
    }

    /// A copy in sync, which is not the only one, is behind in these granules.
    pub(super) fn fall_behind(&mut self, copy: usize, granules: Set) {
        debug_assert!(self.in_sync().any(|other| other != copy), "one copy has everything");
        self.of[copy] = Standing::Behind { granules, catching_up: false };
        self.suspects.retain(|suspect| *suspect != copy);
        self.next_generation();
    }

    /// Whoever is in sync still is no suspect any more.
    pub(super) fn trust_the_rest(&mut self) {
        self.suspects.clear();
    }

    pub(super) fn set_catching_up(&mut self, copy: usize, now: bool) {
        if let Standing::Behind { catching_up, .. } = &mut self.of[copy] {
            *catching_up = now;
        }
    }

    /// A copy has the granule.
    pub(super) fn caught_up(&mut self, copy: usize, number: usize) {
        if let Standing::Behind { granules, .. } = &mut self.of[copy] {
            granules.set(number, false);
        }
    }

    /// A copy has everything.
    pub(super) fn is_back(&mut self, copy: usize) {
        self.of[copy] = Standing::InSync;
        self.next_generation();
    }

    /// A copy counts as it is, whatever it lacks, as another content. The others are behind in `all`.
    pub(super) fn take_for_newest(&mut self, newest: usize, all: &Set) {
        for (copy, standing) in self.of.iter_mut().enumerate() {
            *standing = match copy == newest {
                true => Standing::InSync,
                false => Standing::Behind { granules: all.clone(), catching_up: false },
            };
        }
        self.suspects.clear();
        self.content += 1;
        self.next_generation();
    }

    fn next_generation(&mut self) {
        self.generation += 1;
        for copy in 0..self.of.len() {
            if self.is_in_sync(copy) {
                self.last_in_sync[copy] = self.generation;
            }
        }
    }
}

/// The granules in which a copy is behind.
pub(super) struct Behind<'a>(&'a Set);

impl Behind<'_> {
    pub(super) fn count(&self) -> usize {
        self.0.count_ones(..)
    }

    /// The first at or after `number`, or the first of all.
    pub(super) fn next_from(&self, number: usize) -> Option<usize> {
        let mut later = self.0.ones().skip_while(|one| *one < number);
        later.next().or_else(|| self.0.minimum())
    }
}
