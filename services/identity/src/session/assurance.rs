//! How surely a session is its user's: the methods it was authenticated by, and the level that they make.
//!
//! Deliberately absent: what is checked (`factor`), and what needs how much: the policy of each method says that (`step_up`).

/// The methods that a session was authenticated by and that still vouch for it: a method whose factor was removed is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub struct Methods(i16);

impl Methods {
    /// A password.
    pub const PASSWORD: Methods = Methods(1);
    /// A code of an authenticator app.
    pub const TOTP: Methods = Methods(2);
    /// A code that was written down for the day the authenticator is lost.
    pub const RECOVERY_CODE: Methods = Methods(4);
    /// Those that are something other than the password.
    const SECOND: Methods = Methods(Self::TOTP.0 | Self::RECOVERY_CODE.0);

    /// These and those.
    #[must_use]
    pub fn and(self, more: Methods) -> Self {
        Methods(self.0 | more.0)
    }

    /// What is left when the user has no second factor any more.
    #[must_use]
    pub fn without_second(self) -> Self {
        Methods(self.0 & !Self::SECOND.0)
    }

    /// The authenticator assurance level: 2 with a second factor, else 1. Source: NIST SP 800-63B-4, 2.
    pub fn aal(self) -> u8 {
        if self.0 & Self::SECOND.0 == 0 { 1 } else { 2 }
    }

    /// The level as the `acr` claim names it.
    pub fn acr(self) -> &'static str {
        acr(self.aal())
    }

    /// As the `amr` claim names them: `pwd`, `otp`, `mfa` by RFC 8176, 2; `recovery`, for which it has no name, is our own.
    pub fn names(self) -> Vec<&'static str> {
        let has = |method: Methods| self.0 & method.0 != 0;
        let named =
            [(has(Self::PASSWORD), "pwd"), (has(Self::TOTP), "otp"), (has(Self::RECOVERY_CODE), "recovery"), (self.aal() == 2, "mfa")];
        named.into_iter().filter_map(|(is_there, name)| is_there.then_some(name)).collect()
    }
}

/// The level `aal` as the `acr` claim names it.
pub fn acr(aal: u8) -> &'static str {
    if aal == 2 { "aal2" } else { "aal1" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_method_makes_the_second_level_and_without_it_the_first_is_left() {
        assert_eq!((Methods::PASSWORD.aal(), Methods::PASSWORD.names()), (1, vec!["pwd"]));
        let both = Methods::PASSWORD.and(Methods::TOTP);
        assert_eq!((both.aal(), both.acr(), both.names()), (2, "aal2", vec!["pwd", "otp", "mfa"]));
        let written = Methods::PASSWORD.and(Methods::RECOVERY_CODE);
        assert_eq!((written.aal(), written.names()), (2, vec!["pwd", "recovery", "mfa"]));
        assert_eq!(both.and(written).without_second(), Methods::PASSWORD);
    }
}
