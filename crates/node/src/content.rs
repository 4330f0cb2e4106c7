//! Content: what of an offered message comes, what of it is asked for, and where it goes.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use message::slice::verify_slice;
use message::{Code, Digest, Extent, Headers, Identity, Manifest, Seal, Selection};
use storage::limits::INLINE_OCTETS_MAX;
use storage::{Origin, StagedPart};

use crate::Event;
use crate::accept::{Admission, Failure, Next, trouble};
use crate::commit::Intent;
use crate::limits::{HELD_OCTETS_MAX, PARTS_GONE_ON_WITH_MAX, TEXT_UNSEEN_OCTETS_MAX};
use crate::receiving::Reception;

impl Admission {
    /// The identity that was offered.
    pub fn identity(&self) -> Identity {
        self.envelope.identity
    }

    /// The manifest has come; it is that of the identity.
    ///
    /// # Errors
    /// A code and a text where a part is larger than is taken.
    pub fn manifest(&mut self, manifest: Manifest) -> Result<(), Failure> {
        let most = self.node.settings().part_octets_max;
        if manifest.leaves().any(|(_, part, _)| part.octets > most) {
            return Err((Code::MESSAGE_TOO_LARGE, format!("a part is larger than {most} octets")));
        }
        self.manifest = Some(manifest);
        self.count_octets()
    }

    /// Counts what of the offer stands in memory.
    ///
    /// # Errors
    /// 4.3.1 where there is no room for it. keeps: SEC-5
    fn count_octets(&mut self) -> Result<(), Failure> {
        let manifest = self.manifest.as_ref().map_or(0, |manifest| manifest.octets().len() as u64);
        let headers = match (&self.manifest, &self.headers) {
            (Some(manifest), Some(_)) => manifest.headers_octets(),
            _ => 0,
        };
        let seals: u64 = self.seals.iter().map(|seal| seal.octets().len() as u64).sum();
        // A twin has the same octets.
        let parts: BTreeMap<Digest, u64> =
            self.parts.values().map(|part| (part.digest(), part.octets_in_memory())).collect();
        let open = self.writing.values().map(|part| part.extent().octets.min(INLINE_OCTETS_MAX));
        self.share.set(manifest + headers + seals + parts.values().sum::<u64>() + open.sum::<u64>())
    }

    /// The seals have come.
    pub fn seals(&mut self, seals: Vec<Seal>) {
        self.seals = seals;
    }

    /// The header blocks have come; they are those of the manifest.
    pub fn headers(&mut self, headers: Headers) {
        self.headers = Some(headers);
    }

    /// The body of a leaf begins at this octet.
    ///
    /// # Errors
    /// A code and a text where it cannot be taken.
    pub async fn body_start(&mut self, part: usize, from: u64) -> Result<(), Failure> {
        let extent = self.extent(part)?;
        let twin = self.parts.values().any(|staged| staged.extent() == extent);
        if twin || self.parts.contains_key(&part) {
            self.current = Some((part, u64::MAX));
            return Ok(());
        }
        if !self.writing.contains_key(&part) {
            // Room for a small part is made when it begins, and as much is gathered of a large one.
            self.share.add(extent.octets.min(INLINE_OCTETS_MAX))?;
            let writer = self.node.receive(self.origin.holder(), extent).await?;
            self.writing.insert(part, writer);
        }
        let here = self.writing.get(&part).map_or(0, Reception::offset);
        let skip = here
            .checked_sub(from)
            .ok_or((Code::INVALID_ARGUMENTS, "a body that begins after what is here".to_owned()))?;
        self.current = Some((part, skip));
        Ok(())
    }

    /// Octets of that body.
    ///
    /// # Errors
    /// A code and a text where they cannot be kept.
    pub fn body(&mut self, octets: &Bytes) -> Result<(), Failure> {
        let Some((part, skip)) = &mut self.current else { return Ok(()) };
        let passed = usize::try_from(*skip).unwrap_or(usize::MAX).min(octets.len());
        if *skip != u64::MAX {
            *skip -= passed as u64;
        }
        match self.writing.get_mut(part) {
            Some(writer) if passed < octets.len() => writer.write(&octets[passed..]),
            _ => Ok(()),
        }
    }

    /// That body has ended.
    ///
    /// # Errors
    /// A code and a text where it is not what the manifest says, or cannot be made durable.
    pub async fn body_end(&mut self, part: usize) -> Result<(), Failure> {
        self.current = None;
        if let Some(writer) = self.writing.remove(&part) {
            self.finish(part, writer).await?;
        }
        Ok(())
    }

    /// A range has come with its proof. It is checked, and that is all: rules look at it, nobody keeps it.
    ///
    /// # Errors
    /// A code and a text where it is not that of the part in the manifest. keeps: EXC-24
    pub fn slice(&mut self, part: usize, slice: &[u8]) -> Result<(), Failure> {
        let extent = self.extent(part)?;
        let Some((_, Selection::Range { offset, octets, .. })) = &self.asking else { return Ok(()) };
        verify_slice(extent.digest.as_bytes(), extent.octets, *offset, *octets, slice).map(drop).map_err(
            |_| (Code::INTEGRITY_FAILED, "a range is not that of the part in the manifest".to_owned()),
        )
    }

    /// What was wanted is here: what now? Recipients are decided about as soon as that is possible, and only what is needed
    /// for what was decided is asked for.
    ///
    /// # Errors
    /// A code and a text where the offer cannot be taken at all.
    pub async fn supplied(&mut self) -> Result<Next, Failure> {
        if let Some((wanted, asked)) = self.asking.take() {
            self.got.extend([wanted, asked]);
        }
        self.count_octets()?;
        let submitted = matches!(self.origin, Origin::Submission { .. });
        if (submitted || self.offered.sign_only) && (self.manifest.is_none() || self.headers.is_none()) {
            return Ok(Next::Want(Selection::Headers));
        }
        while let Some(wanted) = self.decide().await? {
            match self.to_ask(&wanted) {
                Some(asked) => {
                    // Without a manifest the headers may come first: then the rule asks again.
                    let wanted = if self.manifest.is_some() { wanted } else { asked.clone() };
                    self.asking = Some((wanted, asked.clone()));
                    return Ok(self.ask(asked));
                }
                // It is here, or there is no such thing: the rules are asked again, and this is no answer any more.
                None => self.got.push(wanted),
            }
        }
        if self.offered.sign_only || !self.needs_headers() {
            return Ok(Next::Commit);
        }
        if self.manifest.is_none() || self.headers.is_none() {
            return Ok(Next::Want(Selection::Headers));
        }
        let missing = self.missing().await?;
        Ok(if missing.is_empty() { Next::Commit } else { self.ask(Selection::Parts(missing)) })
    }

    fn ask(&self, selection: Selection) -> Next {
        self.node.tell(Event::Asked { identity: self.identity(), selection: selection.clone() });
        Next::Want(selection)
    }

    /// What to ask of the sender so that a rule sees what it wants to; `None` where it is here, or cannot come.
    fn to_ask(&self, wanted: &Selection) -> Option<Selection> {
        let Some(manifest) = self.manifest.as_ref().filter(|_| self.headers.is_some()) else {
            return Some(match wanted {
                // How large the text is nobody knows yet.
                Selection::Text if self.envelope.octets > TEXT_UNSEEN_OCTETS_MAX => Selection::Headers,
                // Which leaves there are nobody knows yet.
                Selection::Parts(_) | Selection::Range { .. } => Selection::Headers,
                other => other.clone(),
            });
        };
        match wanted {
            Selection::Digest | Selection::Signers => (!self.got.contains(wanted)).then(|| wanted.clone()),
            Selection::Range { part, offset, octets } => {
                let leaf = manifest.part(*part).filter(|part| part.leaf().is_some())?;
                let octets = (*octets).min(leaf.octets.checked_sub(*offset)?);
                (octets > 0 && !self.got.contains(wanted)).then_some(Selection::Range {
                    part: *part,
                    offset: *offset,
                    octets,
                })
            }
            keep => {
                let leaves = self.leaves_of(keep);
                let parts: Vec<(usize, u64)> = manifest
                    .leaves()
                    .filter(|(number, part, _)| part.octets > 0 && leaves.contains(number))
                    .filter(|(number, ..)| !self.parts.contains_key(number) && !self.kept.contains(number))
                    .map(|(number, ..)| (number, self.writing.get(&number).map_or(0, Reception::offset)))
                    .collect();
                (!parts.is_empty()).then_some(Selection::Parts(parts))
            }
        }
    }

    /// The leaves that a selection stands for. keeps: EXC-29
    fn leaves_of(&self, selection: &Selection) -> BTreeSet<usize> {
        let Some(manifest) = &self.manifest else { return BTreeSet::new() };
        let leaves = || manifest.leaves().map(|(number, ..)| number);
        match selection {
            Selection::All => leaves().collect(),
            Selection::Parts(parts) => {
                leaves().filter(|number| parts.iter().any(|(part, _)| part == number)).collect()
            }
            Selection::Text => {
                let seals: usize = self.seals.iter().map(|seal| seal.octets().len()).sum();
                let before = manifest.octets().len() as u64 + manifest.headers_octets() + seals as u64;
                let fits = |part: usize| {
                    manifest.part(part).is_some_and(|part| before + part.octets <= HELD_OCTETS_MAX)
                };
                manifest.first_text().filter(|part| fits(*part)).into_iter().collect()
            }
            Selection::Headers | Selection::Digest | Selection::Signers | Selection::Range { .. } => {
                BTreeSet::new()
            }
        }
    }

    /// Whether it comes over SMTP.
    fn is_legacy(&self) -> bool {
        matches!(self.origin, Origin::Legacy(_))
    }

    /// Whether somebody needs manifest and headers.
    fn needs_headers(&self) -> bool {
        self.intents.iter().any(|intent| match intent {
            Intent::Answered(..) | Intent::Later { .. } => false,
            Intent::Held { .. } if self.is_legacy() => true,
            Intent::Held { keep, .. } => !matches!(keep, Selection::Digest | Selection::Signers),
            Intent::Mailbox { .. }
            | Intent::Route
            | Intent::RouteHere
            | Intent::Forward { .. }
            | Intent::List { .. } => true,
        })
    }

    /// The leaves that somebody needs.
    fn needed(&self) -> BTreeSet<usize> {
        let of = |intent: &Intent| match intent {
            Intent::Answered(..) | Intent::Later { .. } => BTreeSet::new(),
            // There it is all here, and is kept: nobody is asked for it again. keeps: STA-19
            Intent::Held { .. } if self.is_legacy() => self.leaves_of(&Selection::All),
            Intent::Held { keep, .. } => self.leaves_of(keep),
            Intent::Mailbox { .. }
            | Intent::Route
            | Intent::RouteHere
            | Intent::Forward { .. }
            | Intent::List { .. } => self.leaves_of(&Selection::All),
        };
        self.intents.iter().flat_map(of).collect()
    }

    /// The leaves that are still to come, each from the octet on that is not here.
    /// keeps: EXC-11
    async fn missing(&mut self) -> Result<Vec<(usize, u64)>, Failure> {
        let needed = self.needed();
        let leaves: Vec<(usize, Extent)> = self
            .manifest
            .iter()
            .flat_map(Manifest::leaves)
            .filter(|(number, part, _)| part.octets > 0 && needed.contains(number))
            .filter(|(number, ..)| !self.parts.contains_key(number) && !self.kept.contains(number))
            .map(|(number, part, digest)| (number, Extent { octets: part.octets, digest }))
            .collect();
        let (owner, mut missing, mut asked) = (self.origin.holder(), Vec::new(), BTreeSet::new());
        for (number, extent) in leaves {
            // The same leaf twice in one message is received once.
            if let Some(twin) =
                self.parts.values().find(|staged| staged.extent() == extent).map(StagedPart::twin)
            {
                self.parts.insert(number, twin);
                continue;
            }
            let written =
                |(other, writer): (&usize, &Reception)| *other != number && writer.extent() == extent;
            if asked.contains(&extent.digest) || self.writing.iter().any(written) {
                continue;
            }
            if let Some(part) = self.node.store().known(&owner, extent).map_err(trouble)? {
                self.parts.insert(number, part);
                continue;
            }
            asked.insert(extent.digest);
            if !self.writing.contains_key(&number) {
                // But for the first, which shows whether there is room, a file is opened when octets come for it. keeps: SEC-5
                let begun = || self.node.store().is_begun(&owner, extent);
                let open = self.writing.len();
                if open > 0 && (open >= PARTS_GONE_ON_WITH_MAX || !begun()) {
                    missing.push((number, 0));
                    continue;
                }
                let writer = self.node.receive(self.origin.holder(), extent).await?;
                self.writing.insert(number, writer);
            }
            match self.writing.get(&number).map_or(0, Reception::offset) {
                here if here < extent.octets => missing.push((number, here)),
                _ => {
                    if let Some(writer) = self.writing.remove(&number) {
                        self.finish(number, writer).await?;
                    }
                }
            }
        }
        Ok(missing)
    }

    fn extent(&self, part: usize) -> Result<Extent, Failure> {
        let entry = self.manifest.as_ref().and_then(|manifest| manifest.part(part));
        match entry.and_then(|entry| entry.leaf().map(|digest| Extent { octets: entry.octets, digest })) {
            Some(extent) => Ok(extent),
            None => Err((Code::INVALID_ARGUMENTS, "no leaf has this number".to_owned())),
        }
    }

    async fn finish(&mut self, part: usize, reception: Reception) -> Result<(), Failure> {
        let writer = reception.into_writer()?;
        let staged = match writer.extent().octets {
            small if small <= INLINE_OCTETS_MAX => writer.finish().map_err(trouble)?,
            _ => self.node.blocking(move || writer.finish()).await.map_err(trouble)?,
        };
        self.parts.insert(part, staged);
        Ok(())
    }
}
