//! `muster demo`: the story of a team, told through the gateway of a running suite. Every step is an assertion.
//!
//! `steps` tells each step by name, RPC and time and gives the first failure its number, which becomes the exit code; `story` is what happens.
//! It makes an organization and people of its own, so that it may be run again and beside whoever else is there.

mod steps;
mod story;

use std::{path::PathBuf, time::Instant};

use anyhow::Context;
use clap::Args;
use runtime::SecretString;

use crate::{client::Target, output::Output, seed};

pub(crate) use steps::Failed;

/// The plan that is imported unless another one is named.
const PLAN: &str = "\
# Launch

- [ ] Engine
  - [ ] Pump
    - spins at 30,000 rpm
  - [x] Nozzle
- [ ] Hull
";

/// Whose story, and with which plan.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// A plan to import: a list of checkboxes in Markdown.
    #[arg(long)]
    file: Option<PathBuf>,
    /// The address of the account that owns the organization.
    #[arg(long, default_value = seed::PEOPLE[0].0)]
    email: String,
    /// The address of the system admin, who reads the development mailbox.
    #[arg(long, default_value = seed::ADMIN)]
    admin: String,
    /// The password of both; that of a development suite unless said.
    #[arg(long, env = "MUSTER_PASSWORD", hide_env_values = true, default_value = seed::PASSWORD, hide_default_value = true)]
    password: SecretString,
    #[command(flatten)]
    output: Output,
}

/// Tells the story.
///
/// # Errors
/// [`Failed`], with the number of the first step that went wrong; nobody answers; the plan can't be read.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let began = Instant::now();
    let plan = match &arguments.file {
        Some(file) => std::fs::read_to_string(file).with_context(|| file.display().to_string())?,
        None => PLAN.to_owned(),
    };
    let cast = story::Cast { owner: arguments.email, admin: arguments.admin, password: arguments.password };
    let channel = arguments.target.channel().await?;
    let mut steps = steps::Steps::new(arguments.output);
    let told = story::tell(channel, &cast, plan, &mut steps).await;
    if told.is_ok() || arguments.output.json {
        let all = || format!("\n{} steps, all as they should be, in {:.1} s", steps.count(), began.elapsed().as_secs_f64());
        arguments.output.answer(&steps, all)?;
    }
    Ok(told?)
}
