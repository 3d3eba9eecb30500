//! Two holders of one refresh token and their owner's sign-out, in every order in which their calls can come, against the service itself.
//!
//! The orders of single statements are gone through over a model of the row (`token::refresh`); here each call is whole, and what the service
//! answers is held against what the rules of rotation say.

use contract::identity::v1::TokenPair;
use testkit::{App, fault};

use crate::verbs::{Acts, Door, PASSWORD, address, identity};

/// A call of one of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    /// A client trades the token that it was given last.
    Refresh(usize),
    /// The owner signs out.
    SignOut,
}

/// The session as the rules have it.
struct Rules {
    generation: usize,
    over: bool,
}

impl Rules {
    /// What a token of `generation` gets: the generation of its successor, or the reason of the refusal.
    fn refresh(&mut self, generation: usize) -> Result<usize, &'static str> {
        if self.over {
            return Err("REFRESH_TOKEN_INVALID");
        }
        if generation == self.generation {
            self.generation += 1;
        } else if generation + 1 != self.generation {
            self.over = true;
            return Err("REFRESH_TOKEN_REUSED");
        }
        Ok(self.generation)
    }
}

/// Every order of two refreshes of each client and one sign-out, each client's own calls in their order.
fn orders() -> Vec<Vec<Call>> {
    fn extend(so_far: &mut Vec<Call>, left: [u8; 3], all: &mut Vec<Vec<Call>>) {
        if left == [0; 3] {
            all.push(so_far.clone());
        }
        for (who, call) in [Call::Refresh(0), Call::Refresh(1), Call::SignOut].into_iter().enumerate() {
            let mut left = left;
            if left[who] > 0 {
                left[who] -= 1;
                so_far.push(call);
                extend(so_far, left, all);
                so_far.pop();
            }
        }
    }
    let mut all = Vec::new();
    extend(&mut Vec::new(), [2, 2, 1], &mut all);
    all
}

async fn play(app: &App, order: &[Call]) {
    let owner = app.sign_in(&address("ana")).await;
    let mut rules = Rules { generation: 1, over: false };
    let mut tokens: Vec<String> = vec![owner.tokens.refresh_token.clone()];
    let mut holds = [1_usize; 2];
    for call in order {
        match *call {
            Call::SignOut => {
                let signed_out = owner.revoke_session("").await;
                // Once a replay ended the session its access token opens nothing, this either.
                assert!(signed_out.is_ok() || rules.over, "{order:?}: {signed_out:?}");
                rules.over = true;
            }
            Call::Refresh(client) => {
                let answer = app.refresh_session(&tokens[holds[client] - 1]).await;
                match (rules.refresh(holds[client]), answer) {
                    (Ok(generation), Ok(TokenPair { refresh_token, .. })) => {
                        if generation > tokens.len() {
                            tokens.push(refresh_token.clone());
                        }
                        assert_eq!(refresh_token, tokens[generation - 1], "{order:?}: each generation has one token");
                        holds[client] = generation;
                    }
                    (Err(reason), Err(refused)) => assert_eq!(fault::reason(&refused), reason, "{order:?} at {call:?}"),
                    (wanted, answer) => panic!("{order:?} at {call:?}: wanted {wanted:?}, got {answer:?}"),
                }
            }
        }
    }
    for token in &tokens {
        assert!(app.refresh_session(token).await.is_err(), "{order:?}: something outlived the sign-out");
    }
}

#[tokio::test]
async fn in_every_order_of_two_clients_and_a_sign_out_the_service_keeps_the_rules() {
    let app = identity().await;
    app.verified("ana").await;
    let orders = orders();
    assert_eq!(orders.len(), 30);
    for order in &orders {
        play(&app, order).await;
    }
    app.create_session(&address("ana"), PASSWORD).await.unwrap();
}
