//! The fuzz targets, run without a fuzzer: each over its corpus and over inputs that are made from it, the same ones every time.

#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "in the fuzzer's package it is a crate")]
mod targets;

use std::fs;

use muster_tests::root;
use rand::{Rng, SeedableRng, rngs::StdRng};

/// Inputs that are made for a target.
const MADE: usize = 3_000;
/// What parsers stumble over.
const ODD: [&[u8]; 8] = [b"$", b".", b"=", b"\0", b"-1", b"4294967296", b"\xff\xfe", b"{\"aud\":[\"muster\"]}"];

/// Runs `target` over everything that stands in its corpus, and over what a few changes make of it.
fn replay(name: &str, target: fn(&[u8])) {
    let files = fs::read_dir(root().join("fuzz/corpus").join(name)).unwrap();
    let mut corpus: Vec<Vec<u8>> = files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(corpus.len() >= 3, "{name} has a corpus");
    corpus.sort();
    corpus.iter().for_each(|input| target(input));
    target(&[]);
    let mut random = StdRng::seed_from_u64(4);
    for _ in 0..MADE {
        let mut input = corpus[random.random_range(0..corpus.len())].clone();
        for _ in 0..random.random_range(1..=4) {
            change(&mut input, &corpus, &mut random);
        }
        target(&input);
    }
}

fn change(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut StdRng) {
    let at = random.random_range(0..=input.len());
    let until = random.random_range(at..=input.len());
    match random.random_range(0..6) {
        0 if at < input.len() => input[at] ^= 1 << random.random_range(0..8),
        1 if at < input.len() => input[at] = random.random(),
        2 => drop(input.drain(at..until)),
        3 => drop(input.splice(at..until, ODD[random.random_range(0..ODD.len())].iter().copied())),
        4 => drop(input.splice(at..at, input[at..until].to_vec())),
        _ => {
            let other = &corpus[random.random_range(0..corpus.len())];
            let from = random.random_range(0..=other.len());
            drop(input.splice(at.., other[from..].iter().copied()));
        }
    }
}

#[test]
fn no_bytes_make_an_access_token_that_nobody_signed() {
    replay("access_token", targets::access_token);
}

#[test]
fn no_bytes_make_a_refresh_token() {
    replay("refresh_token", targets::refresh_token);
}

#[test]
fn no_stored_hash_asks_for_more_than_is_allowed() {
    replay("hash_string", targets::hash_string);
}

#[test]
fn no_code_is_good_beyond_its_steps() {
    replay("totp_code", targets::totp_code);
}

#[test]
fn no_bytes_make_a_page_token() {
    replay("page_token", targets::page_token);
}
