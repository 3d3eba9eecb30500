//! The codec by properties; the rotation by every interleaving of two clients and a revocation over a model of the statements.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn tokens() -> RefreshTokens {
    RefreshTokens::new(Sealer::from_key(&[7; 32]))
}

fn token(user: u128, session: u128, generation: i64) -> RefreshToken {
    RefreshToken { user_id: Uuid::from_u128(user).into(), session_id: Uuid::from_u128(session).into(), generation }
}

#[test]
fn a_token_has_its_prefix_and_is_the_same_every_time() {
    let text = tokens().encode(token(1, 2, 3));
    assert!(text.starts_with("mrt1_") && text.len() == 5 + 76 + 8, "{text}");
    assert_eq!(tokens().encode(token(1, 2, 3)), text);
}

#[test]
fn another_key_file_makes_other_tokens() {
    let text = RefreshTokens::new(Sealer::from_key(&[8; 32])).encode(token(1, 2, 3));
    assert_eq!(tokens().decode(&text), Err(NotAToken));
}

#[test]
fn a_token_of_one_session_never_stands_for_another() {
    // The HMAC of session 2, under the ids of session 3, with a right CRC.
    let swapped = |from: RefreshToken, to: RefreshToken| {
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let body = |text: String| URL_SAFE_NO_PAD.decode(&text[5..text.len() - 8]).unwrap();
        let (mac, mut forged) = (body(tokens().encode(from)), body(tokens().encode(to)));
        forged[41..].copy_from_slice(&mac[41..]);
        let text = format!("mrt1_{}", URL_SAFE_NO_PAD.encode(forged));
        format!("{text}{:08x}", crc32fast::hash(text.as_bytes()))
    };
    assert_eq!(tokens().decode(&swapped(token(1, 2, 3), token(1, 3, 3))), Err(NotAToken));
    assert_eq!(tokens().decode(&swapped(token(1, 2, 3), token(1, 2, 4))), Err(NotAToken));
    assert_eq!(tokens().decode(&swapped(token(1, 2, 3), token(9, 2, 3))), Err(NotAToken));
    assert!(tokens().decode(&swapped(token(1, 2, 3), token(1, 2, 3))).is_ok());
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(user: u128, session: u128, generation: i64) {
        let told = token(user, session, generation);
        prop_assert_eq!(tokens().decode(&tokens().encode(told)), Ok(told));
    }

    #[test]
    fn a_flipped_bit_makes_it_no_token(session: u128, generation in 1..1_000_000_i64, at: prop::sample::Index, bit in 0..8_u32) {
        let mut bytes = tokens().encode(token(1, session, generation)).into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(text) = String::from_utf8(bytes) {
            prop_assert_eq!(tokens().decode(&text), Err(NotAToken));
        }
    }

    #[test]
    fn a_flipped_bit_of_the_body_does_not_pass_with_a_right_crc(session: u128, at in 0..57_usize, bit in 0..8_u32) {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let text = tokens().encode(token(1, session, 5));
        let mut body = URL_SAFE_NO_PAD.decode(&text[5..text.len() - 8]).unwrap();
        body[at] ^= 1 << bit;
        let text = format!("mrt1_{}", URL_SAFE_NO_PAD.encode(body));
        let text = format!("{text}{:08x}", crc32fast::hash(text.as_bytes()));
        prop_assert_eq!(tokens().decode(&text), Err(NotAToken));
    }

    #[test]
    fn a_cut_or_lengthened_token_is_none(session: u128, cut: prop::sample::Index, more in "[A-Za-z0-9_-]{1,8}") {
        let text = tokens().encode(token(1, session, 5));
        prop_assert_eq!(tokens().decode(&text[..cut.index(text.len())]), Err(NotAToken));
        prop_assert_eq!(tokens().decode(&format!("{text}{more}")), Err(NotAToken));
    }

    #[test]
    fn no_text_makes_the_decoder_fall_over(text in ".{0,600}") {
        prop_assert_eq!(tokens().decode(&text), Err(NotAToken));
    }
}

const GRACE: Duration = Duration::seconds(30);

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::seconds(seconds)
}

#[test]
fn a_lost_answer_is_given_again_within_the_grace_only() {
    let standing = Standing { generation: 5, rotate_time: at(100), is_open: true };
    assert_eq!(standing.judge(4, at(130), GRACE), Verdict::Repeat);
    assert_eq!(standing.judge(4, at(131), GRACE), Verdict::Reused);
    assert_eq!(standing.judge(3, at(100), GRACE), Verdict::Reused, "its successor was used");
    assert_eq!(standing.judge(6, at(100), GRACE), Verdict::Invalid, "a backup was restored");
    assert_eq!(standing.judge(5, at(100), GRACE), Verdict::Invalid, "it would have been traded if the session were open");
    assert_eq!(Standing { is_open: false, ..standing }.judge(4, at(100), GRACE), Verdict::Invalid);
}

/// The session's row; each method is one statement, which Postgres runs atomically on the row.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    generation: i64,
    revoked: bool,
}

impl Row {
    /// `UPDATE … SET generation = generation + 1 WHERE generation = $1 AND state = ACTIVE`.
    fn trade(&mut self, presented: i64) -> Option<i64> {
        (!self.revoked && self.generation == presented).then(|| {
            self.generation += 1;
            self.generation
        })
    }

    /// `SELECT … WHERE session_id = $1`, long within the grace: the tightest case for a thief.
    fn read(&self) -> Standing {
        Standing { generation: self.generation, rotate_time: at(0), is_open: !self.revoked }
    }

    /// `UPDATE … SET state = REVOKED WHERE state = ACTIVE`.
    fn revoke(&mut self) {
        self.revoked = true;
    }
}

/// What a client still has to do. Two refreshes each, so that successors are used while the other client is on its way.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Trade,
    Read,
    Revoke,
    Done,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Client {
    holds: i64,
    step: Step,
    refreshes_left: u8,
    /// Generations it was given as successors, in order.
    given: Vec<i64>,
    refused: bool,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct World {
    row: Row,
    clients: [Client; 2],
    /// The owner's RevokeSession, not yet committed.
    revocation_waits: bool,
    /// Set once a revocation is committed: answers computed by statements after it.
    given_after_revocation: bool,
}

impl World {
    fn new(revocation: bool) -> Self {
        let client = Client { holds: 1, step: Step::Trade, refreshes_left: 2, given: vec![], refused: false };
        let row = Row { generation: 1, revoked: false };
        World { row, clients: [client.clone(), client], revocation_waits: revocation, given_after_revocation: false }
    }

    fn give(&mut self, client: usize, generation: i64) {
        let client = &mut self.clients[client];
        client.given.push(generation);
        client.holds = generation;
        client.refreshes_left -= 1;
        client.step = if client.refreshes_left == 0 { Step::Done } else { Step::Trade };
    }

    fn refuse(&mut self, client: usize) {
        self.clients[client].refused = true;
        self.clients[client].step = Step::Done;
    }

    /// One statement of one client.
    fn advance(&mut self, client: usize) {
        let presented = self.clients[client].holds;
        match self.clients[client].step {
            Step::Trade => match self.row.trade(presented) {
                Some(successor) => self.give(client, successor),
                None => self.clients[client].step = Step::Read,
            },
            Step::Read => match self.row.read().judge(presented, at(0), GRACE) {
                Verdict::Repeat => {
                    self.given_after_revocation |= self.row.revoked;
                    self.give(client, presented + 1);
                }
                Verdict::Reused => self.clients[client].step = Step::Revoke,
                Verdict::Invalid => self.refuse(client),
            },
            Step::Revoke => {
                self.row.revoke();
                self.refuse(client);
            }
            Step::Done => {}
        }
    }

    fn successors(&self) -> Vec<World> {
        let mut next = Vec::new();
        for client in 0..2 {
            if self.clients[client].step != Step::Done {
                let mut world = self.clone();
                world.advance(client);
                next.push(world);
            }
        }
        if self.revocation_waits {
            let mut world = self.clone();
            world.revocation_waits = false;
            world.row.revoke();
            next.push(world);
        }
        next
    }
}

/// Every world that can come about.
fn reachable(start: World) -> BTreeSet<World> {
    let mut seen = BTreeSet::from([start.clone()]);
    let mut open = vec![start];
    while let Some(world) = open.pop() {
        for next in world.successors() {
            if seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    seen
}

#[test]
fn in_every_interleaving_there_is_one_branch_and_a_revocation_is_final() {
    let worlds = reachable(World::new(true));
    assert!(worlds.len() > 50, "the model moves: {}", worlds.len());
    for world in &worlds {
        for client in &world.clients {
            assert!(client.given.windows(2).all(|pair| pair[1] == pair[0] + 1), "no generation is skipped or given twice to one client");
            assert!(client.given.iter().all(|generation| *generation <= world.row.generation), "no token from the future");
        }
        assert!(!world.given_after_revocation, "nothing is given once the revocation is committed");
        let good: BTreeSet<i64> =
            world.clients.iter().filter_map(|client| client.given.last().copied()).filter(|last| *last == world.row.generation).collect();
        assert!(good.len() <= 1, "at most one token is good");
    }
    let ends: Vec<_> = worlds.iter().filter(|world| world.successors().is_empty()).collect();
    assert!(ends.iter().all(|world| world.row.revoked), "the revocation was committed in each of them");
}

#[test]
fn two_holders_of_one_token_never_both_go_on() {
    let worlds = reachable(World::new(false));
    let ends: Vec<_> = worlds.iter().filter(|world| world.successors().is_empty()).collect();
    assert!(!ends.is_empty());
    for world in &ends {
        let apart = world.row.generation > 3;
        assert!(!apart, "two branches of two refreshes each would have raised the counter to 5");
        let both_done = world.clients.iter().all(|client| !client.refused);
        // Without a refusal the two walked in step, each given the very same tokens: the retry that is meant to be safe.
        assert!(!both_done || world.clients[0].given == world.clients[1].given);
        // A refusal for reuse has ended the session for both.
        assert_eq!(world.clients.iter().any(|client| client.refused), world.row.revoked);
    }
    assert!(ends.iter().any(|world| world.row.revoked), "in some interleaving the theft is noticed");
    assert!(ends.iter().any(|world| !world.row.revoked), "in some a retry is safe");
}
