//! Second factors between the domain and the contract.

use contract::identity::v1 as pb;
use contract::time::timestamp;
use time::OffsetDateTime;

use super::check::Code;
use super::totp::STEP_SECONDS;
use super::{Factor, FactorState};

impl From<FactorState> for pb::FactorState {
    fn from(state: FactorState) -> Self {
        match state {
            FactorState::Pending => pb::FactorState::Pending,
            FactorState::Confirmed => pb::FactorState::Confirmed,
        }
    }
}

impl From<Factor> for pb::Factor {
    fn from(factor: Factor) -> Self {
        let used = OffsetDateTime::from_unix_timestamp(factor.last_step * STEP_SECONDS).ok().filter(|_| factor.last_step > 0);
        pb::Factor {
            factor_id: factor.id.to_string(),
            user_id: factor.user_id.to_string(),
            display_name: factor.display_name,
            state: pb::FactorState::from(factor.state).into(),
            create_time: Some(timestamp(factor.create_time)),
            confirm_time: factor.confirm_time.map(timestamp),
            last_use_time: used.map(timestamp),
            expire_time: factor.expire_time.map(timestamp),
        }
    }
}

impl From<pb::continue_session_request::Code> for Code {
    fn from(code: pb::continue_session_request::Code) -> Self {
        match code {
            pb::continue_session_request::Code::TotpCode(code) => Code::Totp(code.into()),
            pb::continue_session_request::Code::RecoveryCode(code) => Code::Recovery(code.into()),
        }
    }
}

impl From<pb::step_up_session_request::Code> for Code {
    fn from(code: pb::step_up_session_request::Code) -> Self {
        match code {
            pb::step_up_session_request::Code::TotpCode(code) => Code::Totp(code.into()),
            pb::step_up_session_request::Code::RecoveryCode(code) => Code::Recovery(code.into()),
        }
    }
}
