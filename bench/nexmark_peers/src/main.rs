//! nexmark_peers LIBRARY QUERY FILE BEFORE BATCH: keeps a query's result up to date with the events of a file.
//!
//! The first BEFORE events are given unmeasured, then BATCH at a time, each batch followed to its end before the next
//! is given. Prints the events a second, the longest time a batch took in ms, and of the result the number of rows and a
//! sum over them, which tell whether it is right.

mod events;
mod on_dbsp;
mod on_differential;

use events::Event;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How the events are given.
pub struct Feed {
    pub events: Vec<Event>,
    before: usize,
    batch: usize,
}

/// What a run was like; the result's rows are in `Total`.
pub struct Measure {
    rate: f64,
    longest: Duration,
}

impl Feed {
    /// Gives all events to a step that returns when the result is up to date.
    pub fn measure(&self, mut step: impl FnMut(&[Event])) -> Measure {
        let (first, measured) = self.events.split_at(self.before);
        first.chunks(self.batch).for_each(&mut step);
        let started = Instant::now();
        let mut longest = Duration::ZERO;
        for batch in measured.chunks(self.batch) {
            let given = Instant::now();
            step(batch);
            longest = longest.max(given.elapsed());
        }
        let rate = measured.len() as f64 / started.elapsed().as_secs_f64();
        Measure { rate, longest }
    }
}

/// The rows of the result and a sum over them, kept by the changes a library hands over.
#[derive(Clone, Default)]
pub struct Total(Arc<(AtomicI64, AtomicI64)>);

impl Total {
    pub fn add(&self, value: i64, weight: i64) {
        self.0.0.fetch_add(weight, Relaxed);
        self.0.1.fetch_add(value * weight, Relaxed);
    }

    pub fn get(&self) -> (i64, i64) {
        (self.0.0.load(Relaxed), self.0.1.load(Relaxed))
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, query, file, before, batch] = &arguments[..] else {
        panic!("usage: nexmark_peers LIBRARY QUERY FILE BEFORE BATCH");
    };
    let feed = Feed {
        events: events::read(file),
        before: before.parse().expect("BEFORE is a number"),
        batch: batch.parse().expect("BATCH is a number"),
    };
    let (measure, (rows, sum)) = match library.as_str() {
        "differential-dataflow" => on_differential::run(query.clone(), feed),
        "dbsp" => on_dbsp::run(query, feed),
        _ => panic!("unknown library {library}"),
    };
    println!("{:.0} {:.1} {rows} {sum}", measure.rate, measure.longest.as_secs_f64() * 1000.0);
}
