//! Where a channel's connections lead: a name's addresses, and what becomes of those that change.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rpc::client::{Channel, Names, channels};
use rpc::server::Limits;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::Code;

use crate::app::{App, SOON, listener};
use crate::channel::{NUMBER, Peer, ask, call, keys, number, serve};

/// Who tells the addresses of every name, and may be told others.
#[derive(Clone)]
struct Book(Arc<Mutex<Vec<SocketAddr>>>);

impl Book {
    fn of(addresses: &[SocketAddr]) -> Book {
        Book(Arc::new(Mutex::new(addresses.to_vec())))
    }

    fn write(&self, addresses: &[SocketAddr]) {
        *self.0.lock().unwrap() = addresses.to_vec();
    }

    fn channels(&self, count: usize) -> Vec<Channel> {
        let book = self.0.clone();
        of(&Names::new(move |_, _| std::future::ready(Ok(book.lock().unwrap().clone()))), count)
    }

    fn channel(&self) -> Channel {
        self.channels(1).remove(0)
    }
}

fn of(names: &Names, count: usize) -> Vec<Channel> {
    channels(names, "tasks", "http://tasks-peers:7103", &keys(), count).unwrap()
}

/// Two peers, whose connections have numbers from 1 and from 11.
async fn two() -> (Peer, Peer) {
    let (first, mut second) = (Peer::start().await, Peer::start().await);
    second.connections = 10;
    (first, second)
}

/// An address where nobody listens.
async fn nobody() -> SocketAddr {
    listener().await.local_addr().unwrap()
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_is_followed_when_its_connection_is_asked_to_end() {
    let (mut first, mut second) = two().await;
    let book = Book::of(&[first.address()]);
    let (channel, mut calls) = (book.channel(), JoinSet::new());
    let (number, ()) = tokio::join!(ask(&channel), first.accept(serve));
    book.write(&[second.address()]);
    assert_eq!((number, ask(&channel).await), (Ok(1), Ok(1)), "a connection that is there is used");
    calls.spawn(call(channel.clone(), true, Bytes::new()));
    drop(first.held().await);
    let next = async {
        // Until the news is here the old one may be asked.
        while ask(&channel).await != Ok(11) {}
        ask(&channel).await
    };
    let (next, ()) = timeout(SOON, async { tokio::join!(next, second.accept(serve)) }).await.expect("it is followed");
    assert_eq!(next, Ok(11));
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_is_followed_when_the_age_of_its_connection_is_over() {
    let app = App::with(Limits { connection_age_ms: 100, ..Limits::default() }).await;
    let (book, mut peer) = (Book::of(&[app.address]), Peer::start().await);
    let channel = book.channel();
    let refused = call(channel.clone(), false, Bytes::new()).await.unwrap();
    assert!(!refused.headers().contains_key(NUMBER), "the app does not know who calls, and says so");
    book.write(&[peer.address()]);
    let elsewhere = async {
        let told = async || call(channel.clone(), false, Bytes::new()).await.is_ok_and(|answer| answer.headers().contains_key(NUMBER));
        while !told().await {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, async { tokio::join!(elsewhere, peer.accept(serve)) }).await.expect("it is followed");
}

#[tokio::test]
async fn connections_to_one_name_take_its_addresses_in_turns() {
    let (mut first, mut second) = two().await;
    let channels = Book::of(&[first.address(), second.address()]).channels(4);
    let asked = futures::future::join_all(channels.iter().map(ask));
    let accepted = async {
        for _ in 0..2 {
            first.accept(serve).await;
            second.accept(serve).await;
        }
    };
    let numbers: BTreeSet<_> = tokio::join!(asked, accepted).0.into_iter().map(Result::unwrap).collect();
    assert_eq!(numbers, BTreeSet::from([1, 2, 11, 12]));
}

#[tokio::test]
async fn an_address_where_nobody_is_leaves_the_call_to_the_next_one() {
    let mut peer = Peer::start().await;
    let channels = Book::of(&[peer.address(), nobody().await]).channels(2);
    for (channel, number) in channels.iter().zip(1..) {
        assert_eq!(tokio::join!(ask(channel), peer.accept(serve)).0, Ok(number));
    }
}

#[tokio::test]
async fn a_name_without_an_address_is_unavailable_until_it_has_one() {
    let (book, mut peer) = (Book::of(&[]), Peer::start().await);
    let channel = book.channel();
    assert_eq!(ask(&channel).await, Err(Code::Unavailable));
    book.write(&[peer.address()]);
    assert_eq!(tokio::join!(ask(&channel), peer.accept(serve)).0, Ok(1));
}

#[tokio::test]
async fn what_failed_for_a_call_that_was_given_up_is_not_told_to_a_later_one() {
    let (mut peer, gate, asked) = (Peer::start().await, Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (address, held, asks) = (peer.address(), gate.clone(), asked.clone());
    let names = Names::new(move |_, _| {
        let (held, is_first) = (held.clone(), asks.available_permits() == 0);
        asks.add_permits(1);
        async move {
            if is_first {
                held.acquire().await.unwrap().forget();
                return Err(io::Error::other("nobody knows"));
            }
            Ok(vec![address])
        }
    });
    let (channel, mut calls) = (of(&names, 1).remove(0), JoinSet::new());
    calls.spawn(call(channel.clone(), false, Bytes::new()));
    drop(asked.acquire().await.unwrap());
    calls.shutdown().await;
    gate.add_permits(1);
    while gate.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    tokio::task::yield_now().await;
    let (later, ()) = tokio::join!(ask(&channel), peer.accept(serve));
    assert_eq!(later, Ok(1));
    assert_eq!(number(call(channel, false, Bytes::new()).await).await, Ok(1));
}
