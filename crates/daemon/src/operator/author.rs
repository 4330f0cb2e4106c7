//! What the reader of a message has to do with its author: known since when, the first letter or not, sealed with which
//! keys, and what to look at twice.

use control::{AuthorView, EarlierLetters, Failure, SealView};
use message::Role;
use message::address::display::{Familiar, Warning};
use message::address::{Address, Domain};
use storage::{MailUid, Origin, Regard, SealNote};

use super::held::refused;
use super::{LocalOperator, failure};
use crate::limits::LETTERS_LOOKED_AT;

/// What an account has before it, read once for a page.
pub(super) struct Reader {
    account: String,
    familiar: Familiar,
    /// The last letters, the newest first.
    letters: Vec<Letter>,
    /// Whether these are all.
    all: bool,
}

struct Letter {
    author: Address,
    at_ms: u64,
    /// The verified seal that says the most of who wrote it.
    seal: Option<SealView>,
}

impl LocalOperator {
    /// What an account knows and has got lately.
    pub(super) fn reader(&self, account: &str) -> Result<Reader, Failure> {
        self.reader_before(account, None)
    }

    /// The same as it was when a letter of this number came.
    pub(super) fn reader_before(&self, account: &str, before: Option<u64>) -> Result<Reader, Failure> {
        let entries =
            self.store().mailbox_before(account, before.map(MailUid), LETTERS_LOOKED_AT).map_err(failure)?;
        let all = entries.len() < LETTERS_LOOKED_AT;
        let mut letters = Vec::with_capacity(entries.len());
        for entry in entries {
            let stored = self.store().message(entry.identity).map_err(failure)?;
            let author = stored.as_ref().and_then(|stored| stored.headers.as_ref()).and_then(node::author);
            // Who could have been anybody has not written a letter of this author's.
            let Some(author) = author.filter(|author| entry.origin.bears_out(author)) else { continue };
            let seal = telling(&entry.seals, &author).map(seal_view);
            letters.push(Letter { author, at_ms: entry.received_at_ms, seal });
        }
        let familiar = Familiar::new(self.node.familiar(account).map_err(refused)?);
        Ok(Reader { account: account.to_owned(), familiar, letters, all })
    }

    /// What the reader has to do with the author of a message.
    pub(super) fn author_view(
        &self,
        reader: &Reader,
        author: Option<&Address>,
        origin: &Origin,
    ) -> Result<AuthorView, Failure> {
        let Some(author) = author else { return Ok(AuthorView::default()) };
        let known = self.node.correspondent(&reader.account, author).map_err(refused)?;
        if !origin.bears_out(author) {
            let blocked = known.filter(|known| known.regard == Regard::Blocked);
            let mut warnings =
                vec!["It came over SMTP, and nothing proves that it is from this address.".to_owned()];
            warnings.extend(reader.familiar.warnings(author).into_iter().map(words));
            return Ok(AuthorView {
                regard: blocked.as_ref().map(|known| known.regard.word().to_owned()),
                since_ms: blocked.as_ref().map(|known| known.since_ms),
                regard_of: blocked.map(|known| known.who),
                earlier: EarlierLetters::Unknown,
                warnings,
            });
        }
        Ok(AuthorView {
            regard: known.as_ref().map(|known| known.regard.word().to_owned()),
            since_ms: known.as_ref().map(|known| known.since_ms),
            regard_of: known.map(|known| known.who),
            earlier: reader.earlier(author),
            warnings: reader.familiar.warnings(author).into_iter().map(words).collect(),
        })
    }
}

impl Reader {
    fn earlier(&self, author: &Address) -> EarlierLetters {
        match self.letters.iter().any(|letter| letter.author == *author) {
            true => EarlierLetters::Some,
            false if self.all => EarlierLetters::None,
            false => EarlierLetters::NoneAmong(LETTERS_LOOKED_AT as u32),
        }
    }

    /// The verified seal of the last letter of a correspondent that has one, and when it came.
    pub(super) fn last_seal_of(&self, who: &str) -> Option<(SealView, u64)> {
        let by = |author: &Address| match Domain::from_wire(who) {
            Ok(domain) => *author.domain() == domain,
            Err(_) => author.to_string() == who,
        };
        let letter = self.letters.iter().find(|letter| letter.seal.is_some() && by(&letter.author))?;
        Some((letter.seal.clone()?, letter.at_ms))
    }
}

/// The verified seal that says the most of who wrote a letter: the author's, else that of the author's domain.
fn telling<'a>(seals: &'a [SealNote], author: &Address) -> Option<&'a SealNote> {
    // What a gateway seals is what it has found out, and not who wrote it.
    let verified = || seals.iter().filter(|seal| seal.verified && seal.role != Role::Gateway);
    let person = |seal: &&SealNote| seal.role == Role::Author && seal.issuer == author.to_string();
    let domain = |seal: &&SealNote| seal.role == Role::Submission && seal.issuer == author.domain().as_str();
    verified().find(person).or_else(|| verified().find(domain)).or_else(|| verified().next())
}

/// What was found of a seal.
pub(super) fn seal_view(note: &SealNote) -> SealView {
    SealView {
        issuer: note.issuer.clone(),
        role: note.role.word().to_owned(),
        verified: note.verified,
        key_name: note.key_name.clone(),
        key: note.key.map(|key| key.to_string()),
        author_key: note.author_key.map(|found| found.word().to_owned()),
        said: note.author_key.map(|found| found.sentence(&note.issuer)),
    }
}

/// What is to be said of who stands in From. keeps: ADDR-14
fn words(warning: Warning) -> String {
    match warning {
        Warning::LocalPartMixesScripts => "Letters of different scripts are mixed before the @.".to_owned(),
        Warning::LabelMixesScripts(label) => {
            format!("Letters of different scripts are mixed in the domain, in {label}.")
        }
        Warning::LooksLike(known) => format!("It looks like {}, and is another address.", known.to_unicode()),
    }
}
