//! Identifiers: UUIDv7 from one monotonic generator, in newtypes so that a workspace id can't be passed for a user id.
//!
//! Here stand the four ids that the caller's token carries; every other noun defines its own with [`id_type!`](crate::id_type).

use std::sync::{Arc, LazyLock, Mutex};

use uuid::{ContextV7, Timestamp, Uuid};

use crate::Clock;

/// The source of new ids. Cheap to clone; every clone of one source gives ids in strictly rising order.
#[derive(Clone, Debug)]
pub struct Ids(Arc<Source>);

#[derive(Debug)]
struct Source {
    clock: Clock,
    /// Keeps the counter within a millisecond, and holds the last millisecond when the clock steps back.
    context: Mutex<ContextV7>,
}

impl Ids {
    /// The process's own source: two services in one process draw from the same one.
    pub fn system() -> Self {
        static SYSTEM: LazyLock<Ids> = LazyLock::new(|| Ids::at(Clock::system()));
        SYSTEM.clone()
    }

    /// A source that reads `clock`: with a fixed clock the ids of a test carry the test's time.
    pub fn at(clock: Clock) -> Self {
        Ids(Arc::new(Source { clock, context: Mutex::new(ContextV7::new()) }))
    }

    /// The next id, greater than every one before it.
    pub fn next(&self) -> Uuid {
        let now = self.0.clock.now();
        let seconds = u64::try_from(now.unix_timestamp()).unwrap_or_default();
        Uuid::new_v7(Timestamp::from_unix(&self.0.context, seconds, now.nanosecond()))
    }

    /// The next id in the newtype that the caller needs.
    pub fn next_id<T: From<Uuid>>(&self) -> T {
        T::from(self.next())
    }
}

/// Defines an id: a newtype over [`Uuid`] that prints, parses, serializes and binds to SQL as the bare UUID.
///
/// `id_type! { pub struct WorkItemId; "Names a work item." }`, in braces: rustfmt garbles the form in parentheses.
#[macro_export]
macro_rules! id_type {
    ($visibility:vis struct $name:ident; $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $visibility struct $name($crate::__private::Uuid);

        impl $name {
            /// The id of zeros, which names nothing that a service made.
            pub const NIL: Self = $name($crate::__private::Uuid::nil());

            /// The id of zeros, which names nothing that a service made.
            pub const fn nil() -> Self {
                Self::NIL
            }

            /// Whether this is the id of zeros.
            pub const fn is_nil(self) -> bool {
                self.0.is_nil()
            }

            /// The bare UUID.
            pub const fn uuid(self) -> $crate::__private::Uuid {
                self.0
            }
        }

        impl ::std::convert::From<$crate::__private::Uuid> for $name {
            fn from(uuid: $crate::__private::Uuid) -> Self {
                $name(uuid)
            }
        }

        impl ::std::convert::From<$name> for $crate::__private::Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl ::std::convert::From<$name> for ::std::string::String {
            fn from(id: $name) -> Self {
                ::std::string::ToString::to_string(&id.0)
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::ids::NotAnId;

            fn from_str(text: &str) -> ::std::result::Result<Self, Self::Err> {
                $crate::ids::parse(text).map($name)
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(&self.0, f)
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::write!(f, "{}({})", ::std::stringify!($name), self.0)
            }
        }

        impl $crate::__private::serde::Serialize for $name {
            fn serialize<S: $crate::__private::serde::Serializer>(&self, serializer: S) -> ::std::result::Result<S::Ok, S::Error> {
                $crate::__private::serde::Serialize::serialize(&self.0, serializer)
            }
        }

        impl<'de> $crate::__private::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::__private::serde::Deserializer<'de>>(deserializer: D) -> ::std::result::Result<Self, D::Error> {
                $crate::__private::serde::Deserialize::deserialize(deserializer).map($name)
            }
        }

        impl $crate::__private::sqlx::Type<$crate::__private::sqlx::Postgres> for $name {
            fn type_info() -> $crate::__private::sqlx::postgres::PgTypeInfo {
                <$crate::__private::Uuid as $crate::__private::sqlx::Type<$crate::__private::sqlx::Postgres>>::type_info()
            }

            fn compatible(ty: &$crate::__private::sqlx::postgres::PgTypeInfo) -> bool {
                <$crate::__private::Uuid as $crate::__private::sqlx::Type<$crate::__private::sqlx::Postgres>>::compatible(ty)
            }
        }

        impl $crate::__private::sqlx::postgres::PgHasArrayType for $name {
            fn array_type_info() -> $crate::__private::sqlx::postgres::PgTypeInfo {
                <$crate::__private::Uuid as $crate::__private::sqlx::postgres::PgHasArrayType>::array_type_info()
            }
        }

        impl<'q> $crate::__private::sqlx::Encode<'q, $crate::__private::sqlx::Postgres> for $name {
            fn encode_by_ref(
                &self,
                buffer: &mut $crate::__private::sqlx::postgres::PgArgumentBuffer,
            ) -> ::std::result::Result<$crate::__private::sqlx::encode::IsNull, $crate::__private::sqlx::error::BoxDynError> {
                $crate::__private::sqlx::Encode::<$crate::__private::sqlx::Postgres>::encode_by_ref(&self.0, buffer)
            }
        }

        impl<'r> $crate::__private::sqlx::Decode<'r, $crate::__private::sqlx::Postgres> for $name {
            fn decode(
                value: $crate::__private::sqlx::postgres::PgValueRef<'r>,
            ) -> ::std::result::Result<Self, $crate::__private::sqlx::error::BoxDynError> {
                <$crate::__private::Uuid as $crate::__private::sqlx::Decode<$crate::__private::sqlx::Postgres>>::decode(value).map($name)
            }
        }
    };
}

/// The text isn't a UUID in the hyphenated form. The text itself is not kept: it may be a secret in the wrong field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID of the form 01890a5d-ac96-774b-bcce-b302099a8057")]
pub struct NotAnId;

/// Parses the hyphenated form alone: one id has one spelling but for the case of its letters.
#[doc(hidden)]
pub fn parse(text: &str) -> Result<Uuid, NotAnId> {
    if text.len() != uuid::fmt::Hyphenated::LENGTH {
        return Err(NotAnId);
    }
    Uuid::try_parse(text).map_err(|_| NotAnId)
}

id_type! { pub struct OrganizationId; "Names an organization: the tenant of a call." }
id_type! { pub struct WorkspaceId; "Names a workspace of an organization." }
id_type! { pub struct UserId; "Names a user, who may belong to many organizations." }
id_type! { pub struct SessionId; "Names a session: what signing in began." }

impl OrganizationId {
    /// The system organization: tokens before membership, platform events, sign-in failures, system admins.
    pub const SYSTEM: Self = Self::NIL;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_strictly_across_threads_of_one_source() {
        let ids = Ids::system();
        let drawn: Vec<Vec<Uuid>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| (0..5_000).map(|_| Ids::system().next()).collect::<Vec<_>>())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for one_thread in &drawn {
            assert!(one_thread.is_sorted_by(|a, b| a < b));
        }
        let last = drawn.iter().flatten().max().unwrap();
        assert!(ids.next() > *last);
        assert_eq!(last.get_version_num(), 7);
    }

    #[test]
    fn ids_rise_also_when_the_clock_steps_back() {
        let (clock, handle) = Clock::fixed(time::macros::datetime!(2026-03-01 12:00 UTC));
        let ids = Ids::at(clock);
        let before = ids.next();
        handle.set(time::macros::datetime!(2026-03-01 11:00 UTC));
        assert!(ids.next() > before);
    }

    #[test]
    fn an_id_of_a_fixed_clock_carries_its_time() {
        let at = time::macros::datetime!(2026-03-01 12:00 UTC);
        let id = Ids::at(Clock::fixed(at).0).next();
        assert_eq!(id.get_timestamp().unwrap().to_unix().0, u64::try_from(at.unix_timestamp()).unwrap());
    }

    #[test]
    fn an_id_reads_back_from_what_it_prints_and_from_json() {
        let id: WorkspaceId = Ids::system().next_id();
        assert_eq!(id.to_string().parse::<WorkspaceId>().unwrap(), id);
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("\"{id}\""));
        assert_eq!(serde_json::from_str::<WorkspaceId>(&json).unwrap(), id);
        assert_eq!(format!("{id:?}"), format!("WorkspaceId({id})"));
    }

    #[test]
    fn only_the_hyphenated_form_is_an_id() {
        for text in
            ["", "x", "01890a5dac96774bbcceb302099a8057", "{01890a5d-ac96-774b-bcce-b302099a8057}", "01890a5d-ac96-774b-bcce-b302099a805g"]
        {
            assert_eq!(text.parse::<UserId>(), Err(NotAnId), "{text}");
        }
        assert!("01890a5d-ac96-774b-bcce-b302099a8057".parse::<UserId>().is_ok());
    }

    #[test]
    fn the_system_organization_is_nil() {
        assert!(OrganizationId::SYSTEM.is_nil());
        assert_eq!(OrganizationId::SYSTEM, OrganizationId::nil());
    }
}
