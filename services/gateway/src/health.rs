//! What health says of the services behind the edge: what their owners say.
//!
//! Why followed and not asked at each check: a check is open to anybody, and one that called another service would be a lever. So one Watch for each
//! owner is kept open, and what it says last is what is answered. An owner that can't be reached is NOT_SERVING.

use std::time::Duration;

use contract::grpc::health::v1::{HealthCheckRequest, health_client::HealthClient};
use rpc::client::Channel;
use rpc::health::{HealthHandle, ServingStatus};
use runtime::{Backoff, Shutdown};
use tonic::{Request, Status};

/// How long one Watch lives: less than a server allows.
const WATCH: Duration = Duration::from_secs(1800);
/// Between two tries to reach an owner.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Keeps what `health` says of `names`, the gRPC services of one owner, true until `shutdown`. `channel` leads there.
pub(crate) async fn follow(channel: Channel, names: Vec<&'static str>, health: HealthHandle, shutdown: Shutdown) {
    let say = |status| names.iter().for_each(|name| health.set_of_other(name, status));
    say(ServingStatus::NotServing);
    let following = async {
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        loop {
            let told = listen(channel.clone(), &say).await.unwrap_or(false);
            if told {
                backoff.reset();
            } else {
                say(ServingStatus::NotServing);
            }
            backoff.wait().await;
        }
    };
    shutdown.or(following).await;
}

/// Says what the owner says until the Watch ends; whether it said anything.
async fn listen(channel: Channel, say: &impl Fn(ServingStatus)) -> Result<bool, Status> {
    // The owner's `""` stands for all that it serves: gate and drain are the process's.
    let mut request = Request::new(HealthCheckRequest::default());
    request.set_timeout(WATCH);
    let mut news = HealthClient::new(channel).watch(request).await?.into_inner();
    let mut told = false;
    while let Ok(Some(answer)) = news.message().await {
        say(answer.status());
        told = true;
    }
    Ok(told)
}
