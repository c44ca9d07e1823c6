//! A change, and a flush, on their way to the copies.

use std::ops::Range;
use std::sync::Arc;

use futures_util::future::join_all;
use hotbay_block::{Error, ErrorKind, Hole, Reply, Request, Result};

use super::{Mirrored, not_recorded};

/// Copies, and what each has answered.
type Answers = Vec<(usize, Result<Reply>)>;

impl Mirrored {
    /// Makes a change to every copy that counts on it.
    pub(super) async fn change(self: Arc<Self>, content: u64, request: Request) -> Result<Reply> {
        let request = same_on_each(request);
        let extent = request.extent().expect("a change has an extent");
        let touched = self.granules.touched(extent);
        let answers = {
            let _pass = self.gate.read().await;
            self.must_still_be(content)?;
            let _claim = self.claims.claim(extent).await;
            self.mark(touched.clone()).await.map_err(not_recorded)?;
            let copies = self.standings.lock().begin_change(touched.clone());
            let answers = self.ask(&copies, &request).await;
            if !answers.is_empty() && answers.iter().all(is_slow) {
                // Nothing is changed on any of them.
                return Err(ErrorKind::Slow.into());
            }
            let answers = self.ask_the_slow_again(answers, request).await;
            self.note_failures(&answers, touched);
            answers
        };
        self.settle(content, answers).await
    }

    /// Flushes every copy in sync.
    pub(super) async fn flush(self: Arc<Self>, content: u64) -> Result<Reply> {
        let answers = {
            let _pass = self.gate.read().await;
            self.must_still_be(content)?;
            let copies: Vec<usize> = self.standings.lock().in_sync().collect();
            let answers = self.ask(&copies, &Request::Flush).await;
            self.note_failures(&answers, 0..0);
            answers
        };
        self.settle(content, answers).await
    }

    /// Makes the request to copies, all at once, and drives it to its end on each.
    async fn ask(&self, copies: &[usize], request: &Request) -> Answers {
        let answers = copies.iter().map(async |&copy| {
            (copy, self.copies[copy].device.execute(request.again()).answer().await)
        });
        join_all(answers).await
    }

    /// Zeroes that one copy has made quickly are made by each, however long that takes.
    async fn ask_the_slow_again(&self, answers: Answers, request: Request) -> Answers {
        let (slow, mut answers): (Answers, Answers) = answers.into_iter().partition(is_slow);
        let slow: Vec<usize> = slow.into_iter().map(|(copy, _)| copy).collect();
        answers.extend(self.ask(&slow, &request.at_any_speed()).await);
        answers
    }

    /// Remembers who must not count as in sync any more, before anything can be marked as equal.
    fn note_failures(&self, answers: &Answers, touched: Range<usize>) {
        if answers.iter().all(|(_, answer)| answer.is_ok() || is_stopping(answer)) {
            return;
        }
        let mut standings = self.standings.lock();
        let of = |ok: bool| answers.iter().filter(move |(_, a)| a.is_ok() == ok).map(|(c, _)| *c);
        let mut in_doubt: Vec<usize> = of(false).collect();
        if !of(true).any(|copy| standings.is_in_sync(copy))
            && let Some(place) = in_doubt.iter().position(|copy| standings.is_in_sync(*copy))
        {
            // Nobody in sync has it for certain. One of them tells from now on what is there, and no other copy.
            in_doubt.remove(place);
            in_doubt.extend(of(true));
        }
        standings.failed(&in_doubt, touched);
    }

    /// The one answer to the client, once those that have failed are recorded as behind.
    async fn settle(&self, content: u64, answers: Answers) -> Result<Reply> {
        let doubts = !self.standings.lock().suspects().is_empty();
        let recorded = match doubts {
            true => self.let_fall_behind(&[]).await,
            false => Ok(()),
        };
        // Who was in sync when it failed may be behind another one by now.
        self.must_still_be(content)?;
        let failed = |answer: &(usize, Result<Reply>)| {
            answer.1.is_err() && self.standings.lock().is_in_sync(answer.0)
        };
        match answers.iter().position(failed) {
            // Who failed and is in sync all the same is the last one.
            Some(place) => answers.into_iter().nth(place).map_or(Ok(Reply::Done), |(_, a)| a),
            None => recorded.map(|()| Reply::Done).map_err(not_recorded),
        }
    }
}

fn is_slow((_, answer): &(usize, Result<Reply>)) -> bool {
    answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::Slow)
}

fn is_stopping(answer: &Result<Reply>) -> bool {
    answer.as_ref().is_err_and(|error: &Error| error.kind() == ErrorKind::ShuttingDown)
}

/// What is trimmed reads as anything, but as the same on each copy.
fn same_on_each(request: Request) -> Request {
    match request {
        Request::Trim { extent, durability } => Request::zero(extent, Hole::Allowed, durability),
        other => other,
    }
}
