//! What a program says beside an address that it shows to a person. It warns; it never hides or refuses.

use unicode_security::MixedScript;

use super::fold::AccountKey;
use super::{Address, Skeleton};

/// A reason for the reader to look twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// The local part mixes scripts (UTS #39 section 5.1), such as Latin and Cyrillic in one word.
    LocalPartMixesScripts,
    /// This label of the domain, in Unicode, mixes scripts.
    LabelMixesScripts(String),
    /// The address looks like this known correspondent's, and is not it.
    LooksLike(Address),
}

/// The warnings for an address, against the correspondents that its reader knows. A known correspondent looks like
/// nobody else: for an address that is itself known only the mixed scripts are told.
///
/// Two addresses look alike when their skeletons are equal, in the case they are written in or in lower case. Those
/// that differ in case alone do not count: most domains deliver them alike, and the reader sees the difference.
///
/// Time is linear in the number of known correspondents.
///
/// keeps: ADDR-14
pub fn warnings<'a>(address: &Address, known: impl IntoIterator<Item = &'a Address>) -> Vec<Warning> {
    let mut found = mixed_scripts(address);
    let appearance = Appearance::of(address);
    let mut alike = Vec::new();
    for correspondent in known {
        if correspondent == address {
            return found;
        }
        if appearance.is_confusable_with(&Appearance::of(correspondent)) {
            alike.push(Warning::LooksLike(correspondent.clone()));
        }
    }
    found.extend(alike);
    found
}

/// Where an address mixes scripts. Labels are judged one by one: `пример.com` mixes nothing that matters.
pub fn mixed_scripts(address: &Address) -> Vec<Warning> {
    let mut found = Vec::new();
    if !address.local().as_str().is_single_script() {
        found.push(Warning::LocalPartMixesScripts);
    }
    for label in address.domain().to_unicode().split('.').filter(|label| !label.is_single_script()) {
        found.push(Warning::LabelMixesScripts(label.to_owned()));
    }
    found
}

struct Appearance {
    folded: String,
    as_written: Skeleton,
    in_lower_case: Skeleton,
}

impl Appearance {
    fn of(address: &Address) -> Appearance {
        let folded = format!("{}@{}", AccountKey::of(address.local()), address.domain().to_unicode());
        let in_lower_case = Skeleton::of_text(&folded);
        Appearance { folded, as_written: Skeleton::of_address(address), in_lower_case }
    }

    fn is_confusable_with(&self, other: &Appearance) -> bool {
        self.folded != other.folded
            && (self.as_written == other.as_written || self.in_lower_case == other.in_lower_case)
    }
}
