//! COOKIES: whether the author's server knows a message as its own (`spec/21-smtp-cookies.md`).
//!
//! [`Jar`] is the author's side: it gives cookies out and answers tests. [`Tester`] is the side of who receives.

mod jar;
pub(crate) mod rates;
mod tester;
#[cfg(test)]
mod tests;

use message::address::Address;

use crate::ReturnPath;
use crate::out::Parameter;

pub use jar::{Jar, JarSettings};
pub use rates::Rates;
pub use tester::{CookieFound, Tester};

/// The keyword in the answer to EHLO.
pub(crate) const EXTENSION: &str = "COOKIES";

/// The parameter by which a cookie is said or passed on.
fn parameter(id: &str, host: &str) -> Parameter {
    Parameter { extension: EXTENSION.to_owned(), text: format!("COOKIE=<{id}@{host}>") }
}

/// The cookie of a message that is forwarded, for [`crate::out::Shipment::parameters`]: none where the return path is
/// another one than it came with. Where the next server does not know COOKIES it is not said.
///
/// keeps: CKS-9
#[must_use]
pub fn passed_on(
    cookie: Option<&(String, String)>,
    came_with: &ReturnPath,
    leaves_with: &ReturnPath,
) -> Option<Parameter> {
    let (id, host) = cookie?;
    let kept = matches!((came_with, leaves_with), (Some(one), Some(other)) if same_address(one, other));
    kept.then(|| parameter(id, host))
}

fn same_address(one: &Address, other: &Address) -> bool {
    one.local() == other.local() && one.domain() == other.domain()
}
