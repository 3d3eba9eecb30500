//! As much of oathtool as the transcript of identity needs, for machines without it: the code that an authenticator app shows, now or some
//! seconds on.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use runtime::Clock;
use testkit::Authenticator;
use time::Duration;

fn main() -> ExitCode {
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let (told, exit) = match code(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(code) => (writeln!(out, "{code}"), ExitCode::SUCCESS),
        Err(wrong) => (writeln!(err, "{wrong}"), ExitCode::FAILURE),
    };
    if told.is_ok() { exit } else { ExitCode::FAILURE }
}

fn code(arguments: &[String]) -> Result<String, String> {
    let wanted = "wanted: --totp --base32 --now 'now' or '<n> seconds', and the secret";
    let ["--totp", "--base32", "--now", later, secret] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] else {
        return Err(wanted.into());
    };
    let seconds = match later {
        "now" => 0,
        _ => later.strip_suffix(" seconds").and_then(|count| count.parse().ok()).ok_or(wanted)?,
    };
    let app = Authenticator::of(&format!("otpauth://totp/-?secret={secret}&algorithm=SHA1&digits=6&period=30"));
    Ok(app.code_at(Clock::system().now() + Duration::seconds(seconds)))
}
