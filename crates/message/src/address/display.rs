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

/// The warnings for an address, against the correspondents that its reader knows, as [`Familiar::warnings`].
///
/// keeps: ADDR-14
pub fn warnings<'a>(address: &Address, known: impl IntoIterator<Item = &'a Address>) -> Vec<Warning> {
    Familiar::new(known.into_iter().cloned()).warnings(address)
}

/// The addresses that a reader knows, made ready to hold others against them.
#[derive(Debug, Default)]
pub struct Familiar(Vec<(Address, Appearance)>);

impl Familiar {
    /// Made ready; linear in the number of addresses.
    pub fn new(known: impl IntoIterator<Item = Address>) -> Familiar {
        let ready = |known: Address| {
            let appearance = Appearance::of(&known);
            (known, appearance)
        };
        Familiar(known.into_iter().map(ready).collect())
    }

    /// The warnings for an address. A known correspondent looks like nobody else: for an address that is itself known
    /// only the mixed scripts are told.
    ///
    /// Two addresses look alike when their skeletons are equal, in the case they are written in or in lower case. Those
    /// that differ in case alone do not count: most domains deliver them alike, and the reader sees the difference.
    ///
    /// keeps: ADDR-14
    pub fn warnings(&self, address: &Address) -> Vec<Warning> {
        let mut found = mixed_scripts(address);
        if !self.0.iter().any(|(known, _)| known == address) {
            let appearance = Appearance::of(address);
            let alike = self.0.iter().filter(|(_, known)| appearance.is_confusable_with(known));
            found.extend(alike.map(|(known, _)| Warning::LooksLike(known.clone())));
        }
        found
    }
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

#[derive(Debug)]
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
