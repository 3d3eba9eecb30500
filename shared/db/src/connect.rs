//! The logins of a service and how they reach the database.

use std::str::FromStr;

use runtime::config::Secret;
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use crate::{DbConfig, Error, StartupError};

/// Who connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Login {
    App,
    Worker,
    Migrator,
}

impl Login {
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Login::App => "app",
            Login::Worker => "worker",
            Login::Migrator => "migrator",
        }
    }

    fn password(self, config: &DbConfig) -> &Secret {
        match self {
            Login::App => &config.app_password,
            Login::Worker => &config.worker_password,
            Login::Migrator => &config.migrator_password,
        }
    }
}

/// How `login` of the service with `schema` connects.
pub(crate) fn options(config: &DbConfig, schema: &str, login: Login) -> Result<PgConnectOptions, StartupError> {
    let mut options = PgConnectOptions::from_str(config.url.expose()).map_err(|_| StartupError::Url)?;
    options = options.username(&format!("{schema}_{}", login.suffix())).application_name(&format!("muster {schema} {}", login.suffix()));
    let password = login.password(config);
    Ok(if password.is_set() { options.password(password.expose()) } else { options })
}

pub(crate) fn parses(url: &Secret) -> bool {
    PgConnectOptions::from_str(url.expose()).is_ok()
}

/// One connection of the service's migrator, for [`Migrator`](crate::Migrator).
///
/// # Errors
/// The URL is none, or the server is away or refuses.
pub async fn migrator_connection(config: &DbConfig, schema: &str) -> Result<PgConnection, StartupError> {
    Ok(options(config, schema, Login::Migrator)?.connect().await.map_err(Error::from)?)
}
