//! Steps that are told as they go: number, name, RPC, time.

use std::{process::ExitCode, time::Instant};

use tonic::Status;
use tonic_types::StatusExt;

use crate::{cli::say, client::refused};

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

/// The steps so far.
#[derive(Debug, Default)]
pub(super) struct Steps {
    count: u8,
}

impl Steps {
    /// Takes a step and tells of it.
    ///
    /// # Errors
    /// [`Failed`].
    pub(super) async fn take<T>(
        &mut self,
        name: &'static str,
        rpc: &'static str,
        step: impl Future<Output = anyhow::Result<T>>,
    ) -> Result<T, Failed> {
        self.count += 1;
        let began = Instant::now();
        let result = step.await;
        let outcome = if result.is_ok() { format!("{:.1} ms", began.elapsed().as_secs_f64() * 1e3) } else { "failed".to_owned() };
        say(format!("{:>2}  {name:<46}  {rpc:<50}  {outcome:>10}", self.count).trim_end());
        result.map_err(|cause| Failed { number: self.count, name, cause })
    }

    /// How many there were.
    pub(super) fn count(&self) -> u8 {
        self.count
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
        let mut steps = Steps::default();
        steps.take("one", "A/B", async { Ok(()) }).await.unwrap();
        let failed = steps.take("two", "A/C", async { Err::<(), _>(anyhow::anyhow!("away")) }).await.unwrap_err();
        assert_eq!((failed.to_string().as_str(), failed.number), ("step 2, two: away", 2));
    }

    #[test]
    fn a_call_that_passes_or_is_refused_otherwise_was_not_refused() {
        assert!(is_refused(Ok(()), "TOKEN_REVOKED").is_err());
        assert!(is_refused(Err::<(), _>(Status::not_found("x")), "TOKEN_REVOKED").is_err());
    }
}
