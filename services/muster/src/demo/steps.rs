//! Steps that are told as they go: number, name, RPC, time.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::time::timeout;
use tonic::Status;
use tonic_types::StatusExt;

use crate::{
    client::refused,
    output::{Output, say},
    progress::Progress,
};

/// How long one step may take: longer than what it may wait for that happens elsewhere (10 s), and a call on top of it.
const STEP_MAX: Duration = Duration::from_secs(30);

/// A step that went wrong.
#[derive(Debug, thiserror::Error)]
#[error("step {number}, {name}: {cause:#}")]
pub(crate) struct Failed {
    number: u8,
    name: &'static str,
    cause: anyhow::Error,
}

impl Failed {
    /// The number of the step.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.number)
    }
}

/// A step that was taken.
#[derive(Debug, Serialize)]
struct Taken {
    number: u8,
    name: &'static str,
    rpc: &'static str,
    milliseconds: f64,
    passed: bool,
}

/// The steps so far.
#[derive(Debug, Serialize)]
pub(super) struct Steps {
    steps: Vec<Taken>,
    /// Whether all of them passed.
    passed: bool,
    #[serde(skip)]
    output: Output,
    #[serde(skip)]
    progress: Progress,
}

impl Steps {
    /// None yet; each is told when it was taken, unless the answer is a document.
    pub(super) fn new(output: Output) -> Steps {
        Steps { steps: Vec::new(), passed: true, output, progress: output.progress() }
    }

    /// Takes a step, which may take [`STEP_MAX`], and tells of it.
    ///
    /// # Errors
    /// [`Failed`].
    pub(super) async fn take<T>(
        &mut self,
        name: &'static str,
        rpc: &'static str,
        step: impl Future<Output = anyhow::Result<T>>,
    ) -> Result<T, Failed> {
        let number = self.count() + 1;
        let began = Instant::now();
        let result = self.progress.during(&format!("{number:>2}  {name}"), timeout(STEP_MAX, step)).await;
        let result = result.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {} s", STEP_MAX.as_secs())));
        let (milliseconds, passed) = ((began.elapsed().as_secs_f64() * 1e4).round() / 10.0, result.is_ok());
        self.steps.push(Taken { number, name, rpc, milliseconds, passed });
        self.passed &= passed;
        let mut told = Ok(());
        if !self.output.json {
            let outcome = if passed { format!("{milliseconds:.1} ms") } else { "failed".to_owned() };
            told = say(&format!("{number:>2}  {name:<46}  {rpc:<50}  {outcome:>10}"));
        }
        // What went wrong with the step goes before what went wrong with telling of it.
        result.and_then(|taken| told.map(|()| taken)).map_err(|cause| Failed { number, name, cause })
    }

    /// How many there were.
    pub(super) fn count(&self) -> u8 {
        u8::try_from(self.steps.len()).unwrap_or(u8::MAX)
    }
}

/// That a call is refused with `reason`.
///
/// # Errors
/// It passes, or is refused otherwise.
pub(super) fn is_refused<T>(answer: Result<T, Status>, reason: &str) -> anyhow::Result<()> {
    let Err(status) = answer else { anyhow::bail!("it passes, and should be refused with {reason}") };
    let said = status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default();
    if said == reason { Ok(()) } else { Err(refused(status).context(format!("it should be refused with {reason}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_step_that_fails_is_told_by_number_and_name() {
        let mut steps = Steps::new(Output::default());
        steps.take("one", "A/B", async { Ok(()) }).await.unwrap();
        let failed = steps.take("two", "A/C", async { Err::<(), _>(anyhow::anyhow!("away")) }).await.unwrap_err();
        assert_eq!((failed.to_string().as_str(), failed.number), ("step 2, two: away", 2));
        let told = serde_json::to_value(&steps).unwrap();
        assert_eq!((&told["passed"], &told["steps"][0]["passed"], &told["steps"][1]["rpc"]), (&false.into(), &true.into(), &"A/C".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_never_ends_fails_by_its_name() {
        let mut steps = Steps::new(Output::default());
        let failed = steps.take("one", "A/B", std::future::pending::<anyhow::Result<()>>()).await.unwrap_err();
        assert_eq!(failed.to_string(), "step 1, one: no answer within 30 s");
        assert!(!steps.passed);
    }

    #[test]
    fn a_call_that_passes_or_is_refused_otherwise_was_not_refused() {
        assert!(is_refused(Ok(()), "TOKEN_REVOKED").is_err());
        assert!(is_refused(Err::<(), _>(Status::not_found("x")), "TOKEN_REVOKED").is_err());
    }
}
