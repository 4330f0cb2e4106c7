//! Warnings beside a From address that is made to be taken for another.

use message::address::display::{Warning, warnings};
use message::address::{Address, Domain};
use message::{Claims, HeaderBlock, Seal};
use protocol::SealWords;

use crate::Error;
use crate::client::addresses_in;
use crate::limits::CORRESPONDENTS_MAX;
use crate::output::{Output, WAITING, clean, paint};

/// The addresses that somebody knows: their own, and those from which mail came before. keeps: ADDR-14
#[derive(Default)]
pub(super) struct Correspondents(Vec<Address>);

impl Correspondents {
    /// Those that are known at first.
    pub(super) fn new(own: Address) -> Correspondents {
        Correspondents(vec![own])
    }

    /// What is to be said of who stands in From.
    pub(super) fn warnings(&self, header: &HeaderBlock) -> Vec<String> {
        let authors = authors(header);
        authors
            .iter()
            .flat_map(|one| warnings(one, &self.0).into_iter().map(|found| words(one, found)))
            .collect()
    }

    /// Who has written is known from now on; whoever looks like somebody who is known is not. The first of all are kept:
    /// what comes later cannot drive them out.
    pub(super) fn learn(&mut self, header: &HeaderBlock) {
        for author in authors(header) {
            let alike = |found: &Warning| matches!(found, Warning::LooksLike(_));
            if self.0.len() < CORRESPONDENTS_MAX
                && !self.0.contains(&author)
                && !warnings(&author, &self.0).iter().any(alike)
            {
                self.0.push(author);
            }
        }
    }
}

/// What is to be said of a From address that came over SMTP: that nothing proves it, unless the gateway of the reader's node
/// has found it to be its author's. `found` is what that node says of the seals. keeps: POL-12
pub(super) fn unproved(header: &HeaderBlock, found: &[SealWords], seals: &[Seal]) -> Option<String> {
    let verified = |claims: &Claims| {
        found.iter().any(|one| one.verified && one.role == "gateway" && one.issuer == claims.issuer)
    };
    let proved: Vec<Domain> = seals
        .iter()
        .map(Seal::claims)
        .filter(|claims| verified(claims))
        .filter_map(Claims::author_found)
        .collect();
    let borne_out = |author: &Address| proved.iter().any(|proved| proved.holds(author.domain()));
    let authors = authors(header);
    let fine = !authors.is_empty() && authors.iter().all(borne_out);
    (!fine).then(|| "it came over SMTP, and nothing proves that it is from this address".to_owned())
}

/// One line for each warning.
pub(super) fn print(warnings: &[String], indent: &str, output: &mut Output) -> Result<(), Error> {
    let line = |text: &String| format!("{indent}{}", paint(WAITING, &format!("Warning: {}", clean(text))));
    warnings.iter().try_for_each(|text| output.line(&line(text)))
}

fn authors(header: &HeaderBlock) -> Vec<Address> {
    let fields = header.fields().filter(|field| field.is("From"));
    fields.flat_map(|field| addresses_in(&field.value()).0).collect()
}

fn words(address: &Address, warning: Warning) -> String {
    let shown = address.to_unicode();
    match warning {
        Warning::LocalPartMixesScripts => {
            format!("{shown}: letters of different scripts are mixed before the @")
        }
        Warning::LabelMixesScripts(label) => {
            format!("{shown}: letters of different scripts are mixed in the domain, in {label}")
        }
        Warning::LooksLike(known) => {
            format!("{shown} looks like {}, whom you know, and is another address", known.to_unicode())
        }
    }
}

#[cfg(test)]
mod tests {
    use message::{HeaderBuilder, Role, SecretKey};

    use super::*;

    fn from(value: &str) -> HeaderBlock {
        let mut header = HeaderBuilder::new();
        header.push("From", value).unwrap();
        header.finish().unwrap()
    }

    /// proves: ADDR-14
    #[test]
    fn a_look_alike_is_told_and_does_not_become_known() {
        let mut known = Correspondents::new(Address::parse("alice@north.test").unwrap());
        let bob = from("Bob <bob@south.test>");
        assert_eq!(known.warnings(&bob), Vec::<String>::new());
        known.learn(&bob);
        // A Cyrillic o in the local part; the whole domain in Cyrillic letters that look Latin; a mix in one label.
        for (other, told) in [
            ("Bob <b\u{43e}b@south.test>", "looks like bob@south.test"),
            ("alice@n\u{43e}rth.test", "mixed in the domain, in n\u{43e}rth"),
            ("\u{430}lice@north.test", "looks like alice@north.test"),
        ] {
            for _ in 0..2 {
                let warnings = known.warnings(&from(other));
                assert!(warnings.iter().any(|text| text.contains(told)), "{other}: {warnings:?}");
                known.learn(&from(other));
            }
        }
        assert_eq!(known.warnings(&bob), Vec::<String>::new());
        assert_eq!(known.warnings(&from("Eve <eve@east.test>, bob@south.test")), Vec::<String>::new());
    }

    /// proves: POL-12
    #[test]
    fn who_is_not_proved_over_smtp_is_told() {
        let check = |author: &str, verified: bool, role: Role, from_field: &str, warned: bool| {
            let claims = Claims {
                issuer: "here.test".to_owned(),
                issued_at: 0,
                expires_at: None,
                role,
                submitter: None,
                recipient: None,
                authorization: None,
                checks: vec![(message::CHECK_AUTHOR.to_owned(), author.to_owned())],
            };
            let seal = Seal::sign(b"", claims, b"k", &SecretKey::from_seed(&[1; 32]));
            let words = SealWords { issuer: "here.test".to_owned(), role: role.word().to_owned(), verified };
            let told = unproved(&from(from_field), &[words], &[seal]);
            assert_eq!(told.is_some(), warned, "{author} {from_field}");
        };
        check("old.test", true, Role::Gateway, "Ann <ann@old.test>", false);
        check("old.test", true, Role::Gateway, "ann@mail.old.test", false);
        check("none", true, Role::Gateway, "ann@old.test", true);
        check("evil.test", true, Role::Gateway, "ann@old.test", true);
        check("old.test", false, Role::Gateway, "ann@old.test", true);
        check("old.test", true, Role::Forwarder, "ann@old.test", true);
        check("old.test", true, Role::Gateway, "nobody", true);
        assert!(unproved(&from("ann@old.test"), &[], &[]).is_some());
    }
}
