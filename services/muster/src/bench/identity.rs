//! What identity answers beside sign-ins at their best: more of them than it can hash, refreshes, introspection, a verification in memory.

use std::{
    pin::pin,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use contract::identity::v1::{
    CreateSessionRequest, GetJsonWebKeySetRequest, GetUserRequest, IntrospectTokenRequest, RefreshSessionRequest, Revocation,
    RevocationKind, Session, create_session_request::Identifier, key_service_client::KeyServiceClient,
    session_service_client::SessionServiceClient, token_service_client::TokenServiceClient, user_service_client::UserServiceClient,
};
use rpc::authn::{KeySet, Revocations, Verifier};
use runtime::{Clock, Ids};
use tonic::{Code, Request, transport::Channel};

use super::{
    actor::{open, signed},
    distinguish,
    figures::{CONNECTIONS, IN_FLIGHT, Run, figure},
    floors,
    load::{self, Answer},
    refreshes::Refreshes,
    report::Figure,
    sign_in::{CROWD, Crowd},
};
use crate::{keys, seed};

/// How long a sign-in that is offered may take: what can't be hashed by then is refused.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often somebody else calls meanwhile.
const PERIOD: Duration = Duration::from_millis(10);
/// Revocations that are held where a token is verified, and how often it is.
const REVOCATIONS: usize = 10_000;
const VERIFICATIONS: u32 = 1_000_000;

/// Signs in the next of `crowd`, who has no more than [`PATIENCE`].
async fn offered(identity: &Channel, crowd: &Crowd<'_>) -> anyhow::Result<Answer> {
    let (email, device_token) = crowd.next();
    let (identifier, password) = (Some(Identifier::Email(email.to_owned())), seed::PASSWORD.to_owned());
    let mut request = Request::new(CreateSessionRequest { identifier, password, device_token: device_token.to_owned() });
    request.set_timeout(PATIENCE);
    match SessionServiceClient::new(identity.clone()).create_session(request).await.map_err(|status| status.code()) {
        Ok(_) => Ok(Answer::Done),
        Err(Code::ResourceExhausted) => Ok(Answer::Refused),
        Err(Code::DeadlineExceeded | Code::Cancelled | Code::Unavailable | Code::Aborted) => Ok(Answer::Late),
        Err(code) => anyhow::bail!("a sign-in is answered {code:?}"),
    }
}

impl Run<'_> {
    /// The figures of identity that no other group has.
    pub(super) async fn identity(&self) -> anyhow::Result<Vec<Figure>> {
        let identity = self.suite.channel(::identity::NAME)?;
        let emails = self.suite.crowd(CROWD).await?;
        let crowd = Crowd::gather(&identity, emails.clone()).await?;
        let mut figures = self.overload(&identity, &crowd).await.context("more sign-ins than can be hashed")?;
        load::rest().await;
        figures.extend(distinguish::figures(&identity, &crowd, &emails).await.context("distinguishability")?);
        load::rest().await;
        figures.push(self.refreshed(&identity, &crowd).await.context("refresh")?);
        figures.push(self.introspected().await.context("introspection")?);
        figures.push(self.verified(&identity).await.context("verification")?);
        Ok(figures)
    }

    /// Three times as many sign-ins as the cores can hash, against as many as they can; and what somebody else's calls take meanwhile.
    async fn overload(&self, identity: &Channel, crowd: &Crowd<'_>) -> anyhow::Result<Vec<Figure>> {
        let (memory_kib, passes) = self.hashing;
        let (mut rates, mut floor_rates) = (Vec::new(), Vec::new());
        let (mut accepted, mut refused, mut idle, mut busy) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut offered_rate = 0.0;
        for _ in 0..self.rounds {
            load::rest().await;
            let duration = self.duration;
            let hashes = tokio::task::spawn_blocking(move || floors::hashes(memory_kib, passes, duration)).await??;
            let nothing = async {
                tokio::time::sleep(duration).await;
                Ok(())
            };
            idle.extend(self.beside(nothing).await?.1);
            let offer = async |rate: f64| load::offer(rate, duration, async || offered(identity, crowd).await).await;
            floor_rates.push(self.with_consumers_at_rest(offer(hashes)).await?.per_second);
            load::rest().await;
            let (offered, times) = self.with_consumers_at_rest(self.beside(offer(hashes * 3.0))).await?;
            rates.push(offered.per_second);
            accepted.extend(offered.accepted);
            refused.extend(offered.refused);
            busy.extend(times);
            offered_rate = hashes * 3.0;
        }
        [&mut accepted, &mut refused, &mut idle, &mut busy].into_iter().for_each(|times| times.sort());
        let p99 = |times: &[Duration]| load::percentile(times, 99);
        let (rate, floor) = (load::median(rates), load::median(floor_rates));
        let (share, slower) = (rate / floor, p99(&busy).as_secs_f64() / p99(&idle).as_secs_f64());
        let offered = format!("3 H offered, {offered_rate:.0}/s, each with a second's time");
        let calls = |times: &[Duration]| format!("{offered}; {} calls", times.len());
        let against = format!("{offered}; of {floor:.0}/s at 1 H");
        Ok(vec![
            figure("sign-in beyond what can be hashed", format!("{rate:.0}/s, ratio {share:.2}"), against, "≥ 0.95", share >= 0.95),
            figure(
                "the same: accepted",
                format!("p50 {:.0?}, p99 {:.0?}", load::percentile(&accepted, 50), p99(&accepted)),
                calls(&accepted),
                "p99 ≤ 1 s",
                p99(&accepted) <= Duration::from_secs(1),
            ),
            figure(
                "the same: refused",
                format!("p50 {:.1?}, p99 {:.1?}", load::percentile(&refused, 50), p99(&refused)),
                calls(&refused),
                "p99 ≤ 10 ms",
                !refused.is_empty() && p99(&refused) <= Duration::from_millis(10),
            ),
            figure(
                "the same: GetUser meanwhile, p99",
                format!("{:.1?}, ratio {slower:.1}", p99(&busy)),
                format!("idle, {:.1?}; one call every 10 ms", p99(&idle)),
                "≤ 3",
                slower <= 3.0,
            ),
        ])
    }

    /// Does `work`, and says how long calls of somebody else take meanwhile.
    async fn beside<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<(T, Vec<Duration>)> {
        let (mut work, mut times) = (pin!(work), Vec::new());
        let mut users = UserServiceClient::new(self.suite.channel(::identity::NAME)?);
        loop {
            let asking = async {
                tokio::time::sleep(PERIOD).await;
                let asked = Instant::now();
                let answer = users.get_user(signed(GetUserRequest::default(), &self.actor.authorization)?).await;
                match answer.map_err(|status| status.code()) {
                    Ok(_) => Ok(asked.elapsed()),
                    // Who is sent away has waited as long as anybody would.
                    Err(Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded | Code::Aborted) => Ok(PATIENCE),
                    Err(code) => anyhow::bail!("GetUser is answered {code:?}"),
                }
            };
            tokio::select! {
                done = &mut work => return Ok((done?, times)),
                time = asking => times.push(time?),
            }
        }
    }

    /// Refreshes against P, the statements that one sends, each place with sessions of its own.
    async fn refreshed(&self, identity: &Channel, crowd: &Crowd<'_>) -> anyhow::Result<Figure> {
        let in_flight = usize::try_from(self.connections)? * 2;
        let (mut sessions, mut tokens): (Vec<Session>, Vec<Mutex<String>>) = (Vec::new(), Vec::new());
        for _ in 0..in_flight {
            let (email, device_token) = crowd.next();
            sessions.extend(open(identity, email, device_token).await?.session);
            tokens.extend(open(identity, email, device_token).await?.tokens.map(|pair| Mutex::new(pair.refresh_token)));
        }
        let statements = Refreshes::new(&self.suite.database_url(), self.connections, &sessions).await?;
        let held = |place: usize| tokens[place].lock().unwrap_or_else(PoisonError::into_inner);
        let (mut ours, mut floor) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            floor.push(load::keep(in_flight, self.duration, async |place| statements.refresh(place).await).await?.per_second);
            let refreshed = load::keep(in_flight, self.duration, async |place| {
                let request = RefreshSessionRequest { refresh_token: held(place).clone() };
                let answer = SessionServiceClient::new(identity.clone()).refresh_session(request).await?.into_inner();
                *held(place) = answer.tokens.unwrap_or_default().refresh_token;
                Ok(())
            });
            ours.push(refreshed.await?.per_second);
        }
        statements.close().await;
        let (ours, floor) = (load::median(ours), load::median(floor));
        let ratio = ours / floor;
        let value = format!("{ours:.0}/s, ratio {ratio:.2}");
        Ok(figure("refresh", value, format!("P: its statements alone, {floor:.0}/s"), "≥ 0.7", ratio >= 0.7))
    }

    /// Introspection of an access token, as the operator, against T.
    async fn introspected(&self) -> anyhow::Result<Figure> {
        let (empty, _) = self.empty().await?;
        let channels = (0..CONNECTIONS).map(|_| self.suite.channel(::identity::NAME)).collect::<anyhow::Result<Vec<_>>>()?;
        let token = self.access_token()?;
        let mut rates = Vec::new();
        for _ in 0..self.rounds {
            // Good for a minute, which no round lasts.
            let peer = keys::peer_token(&self.suite.keys(), ::identity::NAME)?;
            let asked = load::keep(IN_FLIGHT, self.duration, async |place| {
                let mut request = Request::new(IntrospectTokenRequest { token: token.to_owned() });
                request.metadata_mut().insert("muster-peer", peer.parse()?);
                let answer = TokenServiceClient::new(channels[place % CONNECTIONS].clone()).introspect_token(request).await?;
                anyhow::ensure!(answer.into_inner().active, "a good token is good");
                Ok(())
            });
            rates.push(asked.await?.per_second);
        }
        let rate = load::median(rates);
        let ratio = rate / empty;
        let value = format!("{rate:.0}/s, ratio {ratio:.2}");
        Ok(figure("introspection of an access token, no SQL", value, format!("T {empty:.0}/s"), "≥ 0.7", ratio >= 0.7))
    }

    /// What each call of any service pays to know who calls, for a token that it has seen: a look-up, the time, the revocations.
    async fn verified(&self, identity: &Channel) -> anyhow::Result<Figure> {
        let (keys, revocations, ids) = (KeySet::new(), Revocations::new(Clock::system()), Ids::system());
        let set = KeyServiceClient::new(identity.clone()).get_json_web_key_set(GetJsonWebKeySetRequest {}).await?.into_inner();
        keys.install(&set.json_web_key_set)?;
        let revoked = || Revocation { kind: RevocationKind::Session.into(), subject_id: ids.next().to_string(), ..Revocation::default() };
        revocations.install(&(0..REVOCATIONS).map(|_| revoked()).collect::<Vec<_>>());
        let verifier = Verifier::new(keys, revocations, keys::operator(&self.suite.keys())?, Clock::system());
        let token = self.access_token()?;
        verifier.access_token(token.as_bytes()).await?;
        let began = Instant::now();
        for _ in 0..VERIFICATIONS {
            std::hint::black_box(verifier.access_token(std::hint::black_box(token.as_bytes())).await?);
        }
        let took = began.elapsed() / VERIFICATIONS;
        let against = format!("{REVOCATIONS} revocations held; one core");
        Ok(figure("verification of a token that is known", format!("{took:.0?}"), against, "≤ 2 µs", took <= Duration::from_micros(2)))
    }

    /// The actor's token.
    fn access_token(&self) -> anyhow::Result<&str> {
        self.actor.authorization.strip_prefix("Bearer ").context("a bearer header")
    }
}
