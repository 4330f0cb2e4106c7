//! The adapter from `node` to `gateway` on the way out: a message in its legacy form for the servers of a domain.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use gateway::ReturnPath;
use gateway::cookies::{self, Tester};
use gateway::dkim_sign::DkimSigner;
use gateway::out::{Outcome, Report as Sent, Sender, Shipment};
use message::address::{Address, Domain};
use message::{Code, Cookie, Disposition, Message};
use node::{Answered, Consignment, Leaves, Report, Trouble, TryRecord};
use storage::LegacyOrigin;

use super::awaited::Awaited;
use super::room::{ROOM_OCTETS_MAX, Room, Wanted};
use super::way_back::WayBack;
use crate::clock;

/// Carries mail to servers of the old world.
pub(crate) struct LegacyCourier {
    pub(crate) sender: Arc<Sender>,
    pub(crate) awaited: Arc<Awaited>,
    pub(crate) way_back: Arc<WayBack>,
    pub(crate) host: String,
    pub(crate) signer: DkimSigner,
    /// For messages in legacy form.
    pub(crate) room: Room,
    /// Who asks the servers of authors; none where COOKIES is not spoken.
    pub(crate) tester: Option<Arc<Tester>>,
    /// The address from which connections are made, where it is set.
    pub(crate) from_address: Option<IpAddr>,
}

/// What is known of the recipients of a consignment, by their places.
struct Told {
    dispositions: Vec<Option<Disposition>>,
    tried: Vec<TryRecord>,
    passed_on: Vec<usize>,
    /// Why somebody was put off.
    later: Option<Trouble>,
}

type Tell<'a> = &'a (dyn Fn(&str, &str) + Send + Sync);

impl LegacyCourier {
    pub(crate) async fn deliver(&self, consignment: &Consignment, step: Tell<'_>) -> Report {
        let mut told = Told::nothing(consignment.envelope.recipients.len());
        let result = self.try_deliver(consignment, step, &mut told).await;
        told.report(result)
    }

    /// What became of cookies; those that are none of ours are unknown.
    pub(crate) fn answers(&self, cookies: &[Cookie]) -> Result<Vec<Answered>, Trouble> {
        let answer = |cookie| {
            let found = self.awaited.answer(cookie);
            found.map(|answer| answer.unwrap_or(Answered::Unknown)).map_err(ours)
        };
        cookies.iter().map(answer).collect()
    }

    async fn try_deliver(
        &self,
        consignment: &Consignment,
        step: Tell<'_>,
        told: &mut Told,
    ) -> Result<(), Trouble> {
        // Base64 adds a third, and the message and its legacy form are there at the same time.
        let octets = consignment.message.manifest.message_octets().saturating_mul(7) / 3;
        let octets = u32::try_from(octets).unwrap_or(u32::MAX);
        if octets > ROOM_OCTETS_MAX {
            let text = "the message is too large for the old world".to_owned();
            return Err(Trouble::Permanent(Code::MESSAGE_TOO_LARGE, text));
        }
        // Nobody waits for long behind those who are slow: what finds no room comes back, and others go on.
        let wanted = Wanted {
            message: consignment.envelope.identity,
            to: consignment.domain.clone(),
            holder: consignment.holder.clone(),
        };
        let mut room = self.room.take(&wanted, octets).await.ok_or(Trouble::NoRoom)?;
        let (store, stored) = (consignment.store.clone(), consignment.message.clone());
        let read = tokio::task::spawn_blocking(move || node::whole(store.as_ref(), &stored)).await;
        let message = read
            .map_err(|error| ours(error.to_string()))?
            .ok_or_else(|| ours("the message is not whole".to_owned()))?;
        let message = Arc::new(message);
        let plain = translate::ExportOptions::default();
        let full = translate::ExportOptions { eight_bit: true, utf8_headers: true };
        let octets = match self.legacy_form(consignment, &message, plain).await {
            Ok(octets) => octets,
            // Names that only UTF-8 can say: the other side may be able to.
            Err(_) => self.legacy_form(consignment, &message, full).await?,
        };
        // While it is sent only the legacy form is there.
        drop(message);
        let free = room.num_permits().saturating_sub(octets.len());
        drop(room.split(free));
        let mut ways = [Vec::new(), Vec::new(), Vec::new()];
        let back = self.path_back(consignment);
        for place in 0..consignment.envelope.recipients.len() {
            let way = match leaves(consignment, place) {
                Leaves::AsItCame => 1,
                Leaves::LeadingBack if back.is_some() => 2,
                Leaves::LeadingBack | Leaves::AsOurs => 0,
            };
            ways[way].push(place);
        }
        let [ours, kept, leading_back] = ways;
        if !ours.is_empty() {
            self.send_as_ours(consignment, &ours, octets.clone(), step, told).await?;
        }
        if !kept.is_empty() {
            let path = consignment.legacy.as_ref().and_then(|legacy| legacy.return_path.clone());
            self.send_on(consignment, (&kept, path), octets.clone(), step, told).await;
        }
        if !leading_back.is_empty() {
            self.send_on(consignment, (&leading_back, back), octets, step, told).await;
        }
        Ok(())
    }

    /// The return path of ours that leads back to the one that it came with, where somebody's copy leaves under it. Where
    /// there is no room for it, or no key, the copy leaves as ours. keeps: FWD-37
    fn path_back(&self, consignment: &Consignment) -> Option<Address> {
        let count = consignment.envelope.recipients.len();
        (0..count).find(|place| leaves(consignment, *place) == Leaves::LeadingBack)?;
        let path = consignment.legacy.as_ref()?.return_path.as_ref()?;
        match self.way_back.rewritten(path) {
            Ok(rewritten) => rewritten,
            Err(error) => {
                tracing::warn!(%error, "a return path cannot be rewritten now");
                None
            }
        }
    }

    /// Under a return path of ours, by which is known what became of it. keeps: GW-90
    async fn send_as_ours(
        &self,
        consignment: &Consignment,
        places: &[usize],
        octets: Bytes,
        step: Tell<'_>,
        told: &mut Told,
    ) -> Result<(), Trouble> {
        let recipients: Vec<Address> =
            places.iter().filter_map(|place| consignment.envelope.recipients.get(*place).cloned()).collect();
        let (return_path, cookies) = self.awaited.expect(&recipients).await.map_err(ours)?;
        let shipment = Shipment {
            domain: consignment.domain.clone(),
            return_path: Some(return_path.clone()),
            recipients: recipients.into_iter().map(recipient).collect(),
            octets,
            needs_smtputf8: false,
            envelope_id: None,
            headers_only: Some(true),
            parameters: Vec::new(),
            forwarded: false,
        };
        step("offer", &format!("by SMTP to {}, {} recipients", shipment.domain, places.len()));
        let report = self.sender.send(&shipment, step).await;
        let not_taken: Vec<Cookie> = report
            .recipients
            .iter()
            .zip(&cookies)
            .filter(|(outcome, _)| !matches!(outcome, Outcome::Taken { .. }))
            .map(|(_, cookie)| *cookie)
            .collect();
        self.awaited.forget(&return_path, &not_taken, not_taken.len() == cookies.len()).await;
        told.hear(&report, places, |place| cookies.get(place).map(|cookie| self.awaited.taken(*cookie)));
        Ok(())
    }

    /// Under the return path that it came with, or one that leads there, and with what it came with: what becomes of it,
    /// whoever takes it tells its sender, and not us. keeps: CKS-9, FWD-24, FWD-37, GW-66
    async fn send_on(
        &self,
        consignment: &Consignment,
        (places, return_path): (&[usize], ReturnPath),
        octets: Bytes,
        step: Tell<'_>,
        told: &mut Told,
    ) {
        let Some(legacy) = &consignment.legacy else { return };
        let passage = &legacy.passage;
        let onward = |place: &usize| {
            let address = consignment.envelope.recipients.get(*place)?.clone();
            let one = consignment.onward.get(*place)?;
            Some(gateway::Recipient { address, notify: one.notify, original: one.original.clone() })
        };
        let cookie = passage.cookie.as_ref().map(|cookie| (cookie.id.clone(), cookie.host.clone()));
        let parameter = cookies::passed_on(cookie.as_ref(), &legacy.return_path, &return_path);
        if parameter.is_some() {
            self.take_along(legacy, step).await;
        }
        let shipment = Shipment {
            domain: consignment.domain.clone(),
            return_path,
            recipients: places.iter().filter_map(onward).collect(),
            octets,
            needs_smtputf8: false,
            envelope_id: passage.envelope_id.clone(),
            headers_only: passage.headers_only,
            parameters: parameter.into_iter().collect(),
            forwarded: true,
        };
        let path = shipment.return_path.as_ref().map(Address::to_string).unwrap_or_default();
        step("offer", &format!("by SMTP to {}, {} recipients, for <{path}>", shipment.domain, places.len()));
        let report = self.sender.send(&shipment, step).await;
        for (place, outcome) in places.iter().zip(&report.recipients) {
            if matches!(outcome, Outcome::Taken { notices: true, .. }) {
                told.passed_on.push(*place);
            }
        }
        told.hear(&report, places, |_| Some(Disposition::Relayed));
    }

    /// The author's server expects the message from where it was sent to; it is asked whether it may go on from where we send,
    /// unless that is the same. keeps: CKS-9
    async fn take_along(&self, legacy: &LegacyOrigin, step: Tell<'_>) {
        let (Some(tester), Some(path), Some(cookie)) =
            (&self.tester, &legacy.return_path, &legacy.passage.cookie)
        else {
            return;
        };
        let Some(came_to) = cookie.came_to.filter(|came_to| self.from_address != Some(*came_to)) else {
            return;
        };
        let found = tester.take_along(came_to, path, &cookie.id, &cookie.host).await;
        step("cookie", &format!("{} {}", found.verdict().word(), found.why()));
    }

    /// The message as SMTP carries it, with a Received field that says which way it came, signed.
    async fn legacy_form(
        &self,
        consignment: &Consignment,
        message: &Arc<Message>,
        options: translate::ExportOptions,
    ) -> Result<Bytes, Trouble> {
        let (copy, signer) = (message.clone(), self.signer.clone());
        let (trace, author) = (self.trace(consignment), signs_for(consignment));
        let made = tokio::task::spawn_blocking(move || {
            let exported = translate::export(&copy, &options)?;
            let signed = author.map_or(Ok(String::new()), |author| signer.sign(&exported, &author));
            let signatures = signed.unwrap_or_else(|error| {
                // A message without a signature is worth less, and still a message.
                tracing::warn!(%error, "a message leaves without a signature");
                String::new()
            });
            let mut octets = Vec::with_capacity(trace.len() + signatures.len() + exported.len());
            octets.extend_from_slice(trace.as_bytes());
            octets.extend_from_slice(signatures.as_bytes());
            octets.extend_from_slice(&exported);
            Ok::<_, translate::Refusal>(Bytes::from(octets))
        });
        made.await.map_err(|error| ours(error.to_string()))?.map_err(|refusal| {
            let text = format!("the message has no legacy form: {refusal}");
            Trouble::Permanent(Code::new(5, 6, 3), text)
        })
    }

    /// Received fields: this gateway's, and one for each node that the message was at (RFC 5321 section 3.7.2).
    /// keeps: GW-92
    fn trace(&self, consignment: &Consignment) -> String {
        let at = |seconds: u64| {
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
            jiff::fmt::rfc2822::to_string(&time.to_zoned(jiff::tz::TimeZone::UTC)).unwrap_or_default()
        };
        let id = consignment.envelope.identity.short();
        let mut fields: String =
            left_from(consignment).iter().rev().map(|alias| format!("Delivered-To: {alias}\r\n")).collect();
        fields.push_str(&format!(
            "Received: by {} with WAXWING id {id};\r\n\t{}\r\n",
            self.host,
            at(clock::now_ms() / 1000)
        ));
        for hop in consignment.envelope.trace.iter().rev() {
            fields.push_str(&format!("Received: by {} with WAXWING;\r\n\t{}\r\n", hop.by, at(hop.at)));
        }
        // How it came here over SMTP is the last of what stands beside it.
        let beside = consignment.legacy.as_ref().map(|legacy| legacy.trace()).unwrap_or_default();
        if let Some(at) = beside.find("\r\nReceived:") {
            fields.push_str(beside.get(at + 2..).unwrap_or_default());
        }
        fields
    }
}

/// The aliases of ours from which it is sent on, where they are the same for all: else one recipient would see of another.
/// One outside of ASCII has no place in a header that every server takes. keeps: GW-108
fn left_from(consignment: &Consignment) -> &[Address] {
    let aliases = consignment.onward.first().map(|one| one.aliases.as_slice()).unwrap_or_default();
    let alike = consignment.onward.iter().all(|one| one.aliases == aliases);
    let plain = aliases.iter().all(|alias| alias.to_string().is_ascii());
    if alike && plain { aliases } else { &[] }
}

/// Under which return path a recipient's copy leaves. keeps: FWD-9, FWD-24
fn leaves(consignment: &Consignment, place: usize) -> Leaves {
    let onward = consignment.onward.get(place).filter(|_| consignment.legacy.is_some());
    onward.map_or(Leaves::AsOurs, |one| one.leaves)
}

/// The author's domain, where our keys may answer for it. Over SMTP anybody can write the name of one of our users: that counts
/// where just that domain is proved; what came natively has its seal.
///
/// keeps: GW-71
fn signs_for(consignment: &Consignment) -> Option<Domain> {
    let author = consignment.message.headers.as_ref().and_then(node::author)?;
    let domain = author.domain();
    let proved = match &consignment.legacy {
        Some(legacy) => legacy.author.as_ref() == Some(domain),
        None => consignment.message.seals.iter().any(|seal| {
            let claims = seal.claims();
            claims.role == message::Role::Submission && claims.issuer == domain.as_str()
        }),
    };
    proved.then(|| domain.clone())
}

impl Told {
    fn nothing(count: usize) -> Told {
        Told { dispositions: vec![None; count], tried: Vec::new(), passed_on: Vec::new(), later: None }
    }

    /// What the node is told after an attempt.
    fn report(self, result: Result<(), Trouble>) -> Report {
        let Told { dispositions, tried, passed_on, later } = self;
        let all: Vec<Disposition> = dispositions.into_iter().map(|one| one.unwrap_or(NOT_NOW)).collect();
        // Where nobody was answered anything but "not now", it is the way that was troubled, and its time doubles.
        let all_later = all.iter().all(|one| matches!(one, Disposition::Deferred { .. }));
        let result = match (result, later) {
            (Err(trouble), _) => Err(trouble),
            (Ok(()), Some(trouble)) if all_later => Err(trouble),
            (Ok(()), _) => Ok(all),
        };
        Report { result, tried, passed_on }
    }

    /// One disposition for each recipient of a report; `taken` says which where the place in it was taken.
    fn hear(&mut self, report: &Sent, places: &[usize], taken: impl Fn(usize) -> Option<Disposition>) {
        self.tried.extend(report.tried.iter().map(|one| TryRecord {
            recipient: one.recipient.and_then(|at| places.get(at).copied()),
            host: one.host.clone(),
            step: one.step.word().to_owned(),
            code: Some(one.code),
            text: one.text.clone(),
        }));
        for (at, (place, outcome)) in places.iter().zip(&report.recipients).enumerate() {
            let disposition = match outcome {
                Outcome::Taken { host, text, .. } => {
                    let (host, step, text) = (host.clone(), "relayed".to_owned(), text.clone());
                    self.tried.push(TryRecord { host, step, code: None, text, recipient: Some(*place) });
                    taken(at).unwrap_or(NOT_NOW)
                }
                Outcome::Refused { code, text } => Disposition::Refused {
                    code: *code,
                    text: crate::inbound::failure((*code, text.clone())).text,
                },
                Outcome::Deferred { code, text } => {
                    self.later = Some(Trouble::Temporary(*code, text.clone()));
                    Disposition::Deferred { code: *code, after_seconds: 0 }
                }
                Outcome::Unfit { host, .. } => Disposition::Refused {
                    code: Code::new(5, 6, 7),
                    text: format!(
                        "{host} takes no UTF-8 in header fields and addresses, and this message needs it"
                    ),
                },
            };
            if let Some(slot) = self.dispositions.get_mut(*place) {
                *slot = Some(disposition);
            }
        }
    }
}

/// Where nothing is known of a recipient.
const NOT_NOW: Disposition = Disposition::Deferred { code: Code::SYSTEM_TROUBLE, after_seconds: 0 };

fn recipient(address: Address) -> gateway::Recipient {
    gateway::Recipient { address, notify: None, original: None }
}

fn ours(text: String) -> Trouble {
    Trouble::Temporary(Code::SYSTEM_TROUBLE, text)
}
