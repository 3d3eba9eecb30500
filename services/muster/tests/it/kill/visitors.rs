//! The load on what identity keeps of who comes in: somebody whose session is refreshed over and over, who repeats what was not answered, and
//! somebody who guesses at their password.

use std::{cell::Cell, time::Duration};

use contract::identity::v1::{
    CreateSessionRequest, RefreshSessionRequest, create_session_request::Identifier, session_service_client::SessionServiceClient,
};
use futures::future::join;
use muster::seed;
use tokio::time::{sleep, timeout};
use tonic::{Code, transport::Channel};

use crate::suite::Suite;
use crate::world::{TRY, answered};

/// Whose session it is.
const WHO: &str = seed::PEOPLE[2].0;
const PAUSE: Duration = Duration::from_millis(50);

/// What they saw.
#[derive(Debug)]
pub(crate) struct Visits {
    pub(crate) session_id: String,
    /// Other refresh tokens than the one before.
    pub(crate) successors: i64,
    /// Guesses that were made, answered or not.
    pub(crate) guesses: i64,
    /// Guesses that were answered: the password was looked at, and is wrong.
    pub(crate) wrong: i64,
}

/// Attempts wait for a moment alone, so that there are many; and who was not answered may come again for longer than identity is ever away.
pub(crate) fn settings() -> [(&'static str, String); 5] {
    [
        ("MUSTER__IDENTITY__THROTTLE__ATTEMPTS", "100".to_owned()),
        ("MUSTER__IDENTITY__THROTTLE__DELAY_MS", "1".to_owned()),
        ("MUSTER__IDENTITY__THROTTLE__DELAY_MAX_SECONDS", "1".to_owned()),
        ("MUSTER__IDENTITY__THROTTLE__SHARED_DELAY_MAX_SECONDS", "1".to_owned()),
        ("MUSTER__IDENTITY__REFRESH_GRACE_SECONDS", "60".to_owned()),
    ]
}

/// Comes in, and goes on until `over`.
pub(crate) async fn visit(suite: &Suite, over: &Cell<bool>) -> Visits {
    let sessions = SessionServiceClient::new(suite.channel(identity::NAME));
    let opened = answered("signing in", async || sessions.clone().create_session(sign_in(seed::PASSWORD)).await).await;
    let refresh_token = opened.tokens.unwrap().refresh_token;
    let (successors, (guesses, wrong)) = join(refresh(&sessions, refresh_token, over), guess(&sessions, over)).await;
    Visits { session_id: opened.session.unwrap().session_id, successors, guesses, wrong }
}

fn sign_in(password: &str) -> CreateSessionRequest {
    let identifier = Some(Identifier::Email(WHO.to_owned()));
    CreateSessionRequest { identifier, password: password.to_owned(), device_token: String::new() }
}

/// Refreshes, and once more when it is over: no refusal is one that a kill explains.
async fn refresh(sessions: &SessionServiceClient<Channel>, mut token: String, over: &Cell<bool>) -> i64 {
    let mut successors = 0;
    loop {
        let last = over.get();
        let request = RefreshSessionRequest { refresh_token: token.clone() };
        let answer = answered("refreshing a session", async || sessions.clone().refresh_session(request.clone()).await).await;
        let successor = answer.tokens.unwrap().refresh_token;
        assert_ne!(successor, token);
        (token, successors) = (successor, successors + 1);
        if last {
            return successors;
        }
        sleep(PAUSE).await;
    }
}

/// Guesses; nothing is repeated.
async fn guess(sessions: &SessionServiceClient<Channel>, over: &Cell<bool>) -> (i64, i64) {
    let (mut guesses, mut wrong) = (0, 0);
    while !over.get() {
        guesses += 1;
        let answer = timeout(TRY, sessions.clone().create_session(sign_in("a guess"))).await;
        wrong += i64::from(matches!(answer, Ok(Err(status)) if status.code() == Code::Unauthenticated));
        sleep(PAUSE).await;
    }
    (guesses, wrong)
}
