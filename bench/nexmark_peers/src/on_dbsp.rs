//! The queries on dbsp, with one worker: a batch of events is one transaction.

use crate::events::{Auction, Bid, Event, Person, hops, in_q3, window};
use crate::{Feed, Measure, Total};
use dbsp::operator::Max;
use dbsp::typed_batch::IndexedZSetReader;
use dbsp::utils::{Tup2, Tup3, Tup4, Tup5};
use dbsp::{DBData, OrdIndexedZSet, OrdZSet, RootCircuit, Runtime, Stream};

type Rows<D> = Stream<RootCircuit, OrdZSet<D>>;

/// Adds the changes of a result to the total.
fn watch<D: DBData>(rows: &Rows<D>, total: Total, value: impl Fn(&D) -> i64 + 'static) {
    rows.inspect(move |batch| {
        for (row, (), weight) in batch.iter() {
            total.add(value(&row), weight);
        }
    });
}

/// The same for a result with a key.
fn watch_keyed<K: DBData, V: DBData>(
    rows: &Stream<RootCircuit, OrdIndexedZSet<K, V>>, total: Total, value: impl Fn(&K, &V) -> i64 + 'static,
) {
    rows.inspect(move |batch| {
        for (key, row, weight) in batch.iter() {
            total.add(value(&key, &row), weight);
        }
    });
}

fn build(query: &str, persons: &Rows<Person>, auctions: &Rows<Auction>, bids: &Rows<Bid>, total: Total) {
    match query {
        "q0" => {
            let rows = bids.map(|b| Tup5(b.auction, b.bidder, b.price, b.date_time, b.extra.clone()));
            watch(&rows, total, |row| row.2)
        }
        "q1" => {
            let rows = bids.map(|b| Tup5(b.auction, b.bidder, 908 * b.price, b.date_time, b.extra.clone()));
            watch(&rows, total, |row| row.2)
        }
        "q2" => {
            let rows = bids.filter(|b| b.auction % 123 == 0).map(|b| Tup2(b.auction, b.price));
            watch(&rows, total, |row| row.1)
        }
        "q3" => {
            let sellers = persons
                .filter(in_q3)
                .map_index(|p| (p.id, Tup3(p.name.clone(), p.city.clone(), p.state.clone())));
            let sold = auctions.filter(|a| a.category == 10).map_index(|a| (a.seller, a.id));
            let rows = sold.join(&sellers, |_, id, p| Tup4(p.0.clone(), p.1.clone(), p.2.clone(), *id));
            watch(&rows, total, |row| row.3)
        }
        "q4" => {
            let open = auctions.map_index(|a| (a.id, Tup3(a.category, a.date_time, a.expires)));
            let rows = open
                .join_index(&bids.map_index(|b| (b.auction, Tup2(b.price, b.date_time))), |id, a, b| {
                    (a.1..=a.2).contains(&b.1).then(|| (Tup2(*id, a.0), b.0))
                })
                .aggregate(Max)
                .map_index(|(auction, price)| (auction.1, *price))
                .average(|price| *price);
            watch_keyed(&rows, total, |_, average| *average)
        }
        "q5" => {
            let counts = bids
                .flat_map(|b| {
                    let auction = b.auction;
                    hops(b.date_time).map(move |start| Tup2(auction, start))
                })
                .weighted_count();
            let most = counts.map_index(|(key, bids)| (key.1, *bids)).aggregate(Max);
            let rows = counts
                .map_index(|(key, bids)| (Tup2(key.1, *bids), key.0))
                .join(&most.map_index(|(start, bids)| (Tup2(*start, *bids), ())), |key, auction, ()| Tup2(*auction, key.1));
            watch(&rows, total, |row| row.1)
        }
        "q7" => {
            let highest = bids.map_index(|b| (window(b.date_time, 10), b.price)).aggregate(Max);
            let rows = bids
                .map_index(|b| {
                    let row = Tup4(b.auction, b.bidder, b.date_time, b.extra.clone());
                    (Tup2(window(b.date_time, 10), b.price), row)
                })
                .join(&highest.map_index(|(start, price)| (Tup2(*start, *price), ())), |key, row, ()| {
                    Tup2(key.1, row.clone())
                });
            watch(&rows, total, |row| row.0)
        }
        "q8" => {
            let new = persons.map(|p| Tup3(p.id, window(p.date_time, 10), p.name.clone())).distinct();
            let sellers = auctions.map(|a| Tup2(a.seller, window(a.date_time, 10))).distinct();
            let rows = new
                .map_index(|p| (Tup2(p.0, p.1), p.2.clone()))
                .join(&sellers.map_index(|key| (key.clone(), ())), |key, name, ()| Tup3(key.0, name.clone(), key.1));
            watch(&rows, total, |row| row.0)
        }
        "q12" => {
            let rows = bids.map(|b| Tup2(b.bidder, window(b.received, 10))).weighted_count();
            watch_keyed(&rows, total, |_, count| *count)
        }
        "q18" => {
            let rows = bids
                .map_index(|b| {
                    let row = Tup5(b.date_time, b.price, b.channel.clone(), b.url.clone(), b.extra.clone());
                    (Tup2(b.bidder, b.auction), row)
                })
                .aggregate(Max);
            watch_keyed(&rows, total, |_, row| row.1)
        }
        "q20" => {
            let chosen = auctions.filter(|a| a.category == 10).map_index(|a| (a.id, a.clone()));
            let rows = bids
                .map_index(|b| (b.auction, b.clone()))
                .join(&chosen, |_, bid, auction| Tup2(bid.clone(), auction.clone()));
            watch(&rows, total, |row| row.0.price)
        }
        _ => panic!("{query} is not here"),
    }
}

pub fn run(query: &str, feed: Feed) -> (Measure, (i64, i64)) {
    let total = Total::default();
    let watched = total.clone();
    let query = query.to_string();
    let (mut circuit, (person_input, auction_input, bid_input)) = Runtime::init_circuit(1, move |circuit| {
        let (persons, person_input) = circuit.add_input_zset::<Person>();
        let (auctions, auction_input) = circuit.add_input_zset::<Auction>();
        let (bids, bid_input) = circuit.add_input_zset::<Bid>();
        build(&query, &persons, &auctions, &bids, watched.clone());
        Ok((person_input, auction_input, bid_input))
    })
    .expect("a circuit");
    let measure = feed.measure(|batch| {
        let (mut persons, mut auctions, mut bids) = (Vec::new(), Vec::new(), Vec::new());
        for event in batch {
            match event {
                Event::Person(row) => persons.push(Tup2(row.clone(), 1)),
                Event::Auction(row) => auctions.push(Tup2(row.clone(), 1)),
                Event::Bid(row) => bids.push(Tup2(row.clone(), 1)),
            }
        }
        person_input.append(&mut persons);
        auction_input.append(&mut auctions);
        bid_input.append(&mut bids);
        circuit.transaction().expect("a transaction");
    });
    (measure, total.get())
}
