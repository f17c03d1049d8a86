//! The queries on differential-dataflow, with one worker: a batch of events is one time.

use crate::events::{Auction, Bid, Event, Person, hops, in_q3, window};
use crate::{Feed, Measure, Total};
use differential_dataflow::input::Input;
use differential_dataflow::{Data, VecCollection};
use timely::dataflow::operators::probe::Handle;

type Rows<'scope, D> = VecCollection<'scope, u64, D, isize>;

/// Adds the changes of a result to the total, and lets the probe see how far it is.
fn watch<'scope, D: Data>(rows: Rows<'scope, D>, probe: &Handle<u64>, total: Total, value: impl Fn(&D) -> i64 + 'static) {
    rows.inspect(move |(row, _, weight)| total.add(value(row), *weight as i64)).probe_with(probe);
}

fn build<'scope>(
    query: &str, persons: Rows<'scope, Person>, auctions: Rows<'scope, Auction>, bids: Rows<'scope, Bid>,
    probe: &Handle<u64>, total: Total,
) {
    match query {
        "q0" => watch(bids.map(|b| (b.auction, b.bidder, b.price, b.date_time, b.extra)), probe, total, |row| row.2),
        "q1" => {
            let rows = bids.map(|b| (b.auction, b.bidder, 908 * b.price, b.date_time, b.extra));
            watch(rows, probe, total, |row| row.2)
        }
        "q2" => {
            let rows = bids.filter(|b| b.auction % 123 == 0).map(|b| (b.auction, b.price));
            watch(rows, probe, total, |row| row.1)
        }
        "q3" => {
            let sellers = persons.filter(in_q3).map(|p| (p.id, (p.name, p.city, p.state)));
            let sold = auctions.filter(|a| a.category == 10).map(|a| (a.seller, a.id));
            let rows = sold.join_map(sellers, |_, id, (name, city, state)| {
                (name.clone(), city.clone(), state.clone(), *id)
            });
            watch(rows, probe, total, |row| row.3)
        }
        "q4" => {
            let open = auctions.map(|a| (a.id, (a.category, a.date_time, a.expires)));
            let rows = open
                .join_map(bids.map(|b| (b.auction, (b.price, b.date_time))), |id, a, b| {
                    ((*id, a.0), b.0, (a.1..=a.2).contains(&b.1))
                })
                .filter(|(_, _, in_time)| *in_time)
                .map(|(auction, price, _)| (auction, price))
                .reduce(|_, prices, highest| highest.push((*prices[prices.len() - 1].0, 1)))
                .explode(|((_, category), price)| Some((category, (price as isize, 1))))
                .count()
                .map(|(category, (sum, count))| (category, (sum / count) as i64));
            watch(rows, probe, total, |row| row.1)
        }
        "q5" => {
            let counts = bids
                .flat_map(|b| hops(b.date_time).map(move |start| (b.auction, start)))
                .count()
                .map(|((auction, start), bids)| ((start, bids), auction));
            let most = counts
                .clone()
                .map(|(key, _)| key)
                .reduce(|_, bids, most| most.push((*bids[bids.len() - 1].0, 1)));
            watch(counts.semijoin(most), probe, total, |row| row.0.1 as i64)
        }
        "q7" => {
            let prices = bids.map(|b| ((window(b.date_time, 10), b.price), (b.auction, b.bidder, b.date_time, b.extra)));
            let highest = prices
                .clone()
                .map(|(key, _)| key)
                .reduce(|_, prices, highest| highest.push((*prices[prices.len() - 1].0, 1)));
            watch(prices.semijoin(highest), probe, total, |row| row.0.1)
        }
        "q8" => {
            let new = persons.map(|p| ((p.id, window(p.date_time, 10)), p.name)).distinct();
            let sellers = auctions.map(|a| (a.seller, window(a.date_time, 10))).distinct();
            watch(new.semijoin(sellers), probe, total, |row| row.0.0)
        }
        "q12" => {
            let rows = bids.map(|b| (b.bidder, window(b.received, 10))).count();
            watch(rows, probe, total, |row| row.1 as i64)
        }
        "q18" => {
            let rows = bids
                .map(|b| ((b.bidder, b.auction), (b.date_time, b.price, b.channel, b.url, b.extra)))
                .reduce(|_, bids, last| last.push((bids[bids.len() - 1].0.clone(), 1)));
            watch(rows, probe, total, |row| row.1.1)
        }
        "q20" => {
            let chosen = auctions.filter(|a| a.category == 10).map(|a| (a.id, a));
            let rows = bids.map(|b| (b.auction, b)).join_map(chosen, |_, bid, auction| (bid.clone(), auction.clone()));
            watch(rows, probe, total, |row| row.0.price)
        }
        _ => panic!("{query} is not here"),
    }
}

pub fn run(query: String, feed: Feed) -> (Measure, (i64, i64)) {
    timely::execute_directly(move |worker| {
        let probe = Handle::new();
        let total = Total::default();
        let (mut persons, mut auctions, mut bids) = worker.dataflow(|scope| {
            let (person_input, persons) = scope.new_collection();
            let (auction_input, auctions) = scope.new_collection();
            let (bid_input, bids) = scope.new_collection();
            build(&query, persons, auctions, bids, &probe, total.clone());
            (person_input, auction_input, bid_input)
        });
        let mut time = 0;
        let measure = feed.measure(|batch| {
            for event in batch {
                match event {
                    Event::Person(row) => persons.insert(row.clone()),
                    Event::Auction(row) => auctions.insert(row.clone()),
                    Event::Bid(row) => bids.insert(row.clone()),
                }
            }
            time += 1;
            persons.advance_to(time);
            auctions.advance_to(time);
            bids.advance_to(time);
            persons.flush();
            auctions.flush();
            bids.flush();
            worker.step_while(|| probe.less_than(&time));
        });
        (measure, total.get())
    })
}
