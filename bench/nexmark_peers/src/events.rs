//! The events: a file of lines with tabs between a kind (p, a, b) and the columns of the table. Times are microseconds.

use feldera_macros::IsNone;
use rkyv::Archive;
use size_of::SizeOf;

/// A row that both libraries can hold, sort and send.
macro_rules! row {
    ($name:ident { $($column:ident: $type:ty),* }) => {
        #[derive(Clone, Default, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, SizeOf, Archive, rkyv::Serialize,
            rkyv::Deserialize, serde::Serialize, serde::Deserialize, IsNone)]
        #[archive_attr(derive(Ord, Eq, PartialEq, PartialOrd))]
        pub struct $name { $(pub $column: $type),* }

        impl $name {
            fn parse<'a>(columns: &mut impl Iterator<Item = &'a str>) -> Self {
                Self { $($column: columns.next().expect("a column").parse().expect("a value")),* }
            }
        }
    };
}

row!(Person {
    id: i64, name: String, email_address: String, credit_card: String, city: String, state: String, date_time: i64,
    extra: String
});
row!(Auction {
    id: i64, item_name: String, description: String, initial_bid: i64, reserve: i64, date_time: i64, expires: i64,
    seller: i64, category: i64, extra: String
});
row!(Bid {
    auction: i64, bidder: i64, price: i64, channel: String, url: String, date_time: i64, received: i64, extra: String
});

pub enum Event {
    Person(Person),
    Auction(Auction),
    Bid(Bid),
}

pub fn read(path: &str) -> Vec<Event> {
    let text = std::fs::read_to_string(path).expect("the file of events");
    text.lines().map(parse).collect()
}

fn parse(line: &str) -> Event {
    let mut columns = line.split('\t');
    match columns.next() {
        Some("p") => Event::Person(Person::parse(&mut columns)),
        Some("a") => Event::Auction(Auction::parse(&mut columns)),
        Some("b") => Event::Bid(Bid::parse(&mut columns)),
        _ => panic!("not an event: {line}"),
    }
}

/// The start of the window of so many seconds that a time is in.
pub fn window(time: i64, seconds: i64) -> i64 {
    time - time.rem_euclid(seconds * 1_000_000)
}

/// The starts of the windows of ten seconds, one every two, that a time is in.
pub fn hops(time: i64) -> impl Iterator<Item = i64> {
    let last = window(time, 2);
    (0..5).map(move |n| last - n * 2_000_000)
}

/// Is the person of a state that q3 asks for?
pub fn in_q3(person: &Person) -> bool {
    ["OR", "ID", "CA"].contains(&person.state.as_str())
}
