//! Which names a domain may give out. Only the owning domain asks this, once, when an account or alias is made; mail
//! to and from names that would not pass still travels.

use unicode_security::{RestrictionLevel, RestrictionLevelDetection};

use super::fold::AccountKey;
use super::precis;
use super::{LocalPart, Skeleton};

/// Names that are never given to a user, nor anything that looks like one of them: the roles of RFC 2142, the names
/// to which certificate authorities send their challenges (CA/Browser Forum baseline requirements, 3.2.2.4.4), and
/// what other mail programs sign their reports with. In the form of [`AccountKey`], sorted.
pub const RESERVED: &[&str] = &[
    "abuse",
    "admin",
    "administrator",
    "daemon",
    "ftp",
    "hostmaster",
    "mailer-daemon",
    "news",
    "no-reply",
    "nobody",
    "noc",
    "noreply",
    "postmaster",
    "root",
    "security",
    "ssladmin",
    "sysadmin",
    "system",
    "usenet",
    "uucp",
    "webmaster",
    "www",
];

/// Why a name cannot be registered. The fault is the applicant's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// Not in the PRECIS IdentifierClass, or its bidi order is broken.
    #[error("the name holds a character that no account name may hold, or mixes writing directions")]
    NotAnIdentifier,
    /// Looser than Highly Restrictive (UTS #39 section 5.2): scripts are mixed, or a character is not recommended for
    /// identifiers. The latter takes `+`, `!` and `%` out, which mail programs read as more than a letter.
    #[error("the name mixes scripts, or holds a character that is not recommended in names")]
    NotHighlyRestrictive,
    /// The name is one of [`RESERVED`].
    #[error("the name is reserved")]
    Reserved,
    /// The account exists.
    #[error("another account has it")]
    Taken,
    /// The name looks like this existing or reserved one.
    #[error("the name looks like {0}")]
    LooksLike(String),
}

/// Checks a name that somebody wants, against the accounts that exist, and gives the key to keep it under.
///
/// Time is linear in the number of existing names. A domain with very many keeps an index of [`Skeleton::of_key`]
/// instead and calls [`candidate`].
///
/// # Errors
///
/// The first reason not to register the name.
///
/// keeps: ADDR-12, ADDR-13
pub fn check<'a>(
    local: &LocalPart,
    existing: impl IntoIterator<Item = &'a AccountKey>,
) -> Result<AccountKey, RegistrationError> {
    let (key, skeleton) = candidate(local)?;
    for taken in existing {
        if *taken == key {
            return Err(RegistrationError::Taken);
        }
        if Skeleton::of_key(taken) == skeleton {
            return Err(RegistrationError::LooksLike(taken.to_string()));
        }
    }
    Ok(key)
}

/// The part of [`check`] that needs no list of accounts: the key of a name that is fit to be registered, and the
/// skeleton that no existing name may share.
///
/// # Errors
///
/// All of [`RegistrationError`] but `Taken`, and `LooksLike` only for reserved names.
///
/// keeps: ADDR-12, ADDR-13
pub fn candidate(local: &LocalPart) -> Result<(AccountKey, Skeleton), RegistrationError> {
    if precis::username_case_mapped(local.as_str()).is_none() {
        return Err(RegistrationError::NotAnIdentifier);
    }
    let key = AccountKey::of(local);
    if !key.as_str().check_restriction_level(RestrictionLevel::HighlyRestrictive) {
        return Err(RegistrationError::NotHighlyRestrictive);
    }
    let skeleton = Skeleton::of_key(&key);
    for reserved in RESERVED {
        if *reserved == key.as_str() {
            return Err(RegistrationError::Reserved);
        }
        if Skeleton::of_text(reserved) == skeleton {
            return Err(RegistrationError::LooksLike((*reserved).to_owned()));
        }
    }
    Ok((key, skeleton))
}
