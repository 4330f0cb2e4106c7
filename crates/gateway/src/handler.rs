//! Who takes what comes in over SMTP, and what it is told.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use message::address::Address;
use message::{Code, Disposition};

use crate::cookies::CookieFound;
use crate::loops;

/// An answer that comes later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What is offered at a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Port 25: from other servers, for our own users.
    Transfer,
    /// Port 587: from our own users, who have to log in, over STARTTLS (RFC 6409).
    Submission,
    /// Port 465: the same, over TLS from the start (RFC 8314).
    Submissions,
}

/// Who is at the other end of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// From where.
    pub address: IpAddr,
    /// At which address of ours.
    pub came_to: IpAddr,
    /// By which name, as it was said in EHLO or HELO.
    pub helo: String,
    /// Whether EHLO was said.
    pub extended: bool,
    /// At which port.
    pub service: Service,
    /// The version of TLS and the cipher, where the session is encrypted.
    pub tls: Option<String>,
    /// The SHA-256 digest of the certificate that the client has shown and proved.
    pub certificate_digest: Option<[u8; 32]>,
    /// The account that has logged in.
    pub account: Option<String>,
}

/// The address in MAIL FROM, or nobody: `<>`.
pub type ReturnPath = Option<Address>;

/// One recipient of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The address.
    pub address: Address,
    /// When a notice is wanted (RFC 3461 section 4.1): the sum of [`Recipient::NOTIFY_SUCCESS`] and the like, 0 for
    /// `NEVER`; none said is failure and delay.
    pub notify: Option<u8>,
    /// The original recipient (RFC 3461 section 4.2), its xtext decoded: the type, a semicolon and the address.
    pub original: Option<String>,
}

impl Recipient {
    /// A notice is wanted of delivery.
    pub const NOTIFY_SUCCESS: u8 = 1;
    /// A notice is wanted of failure.
    pub const NOTIFY_FAILURE: u8 = 2;
    /// A notice is wanted of delay.
    pub const NOTIFY_DELAY: u8 = 4;
}

/// How well the sender of a message is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authenticity {
    /// It has logged in, or is known by a rule of MAV that names this return path.
    Authenticated,
    /// Its return path is proved: SPF passes for its domain, or DKIM does with the same organisation.
    Verified,
    /// Nothing proves it.
    Unverified,
}

/// What a rule of MAV has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mav {
    /// The keyword of the protocol in the Received field, such as `ESMTPSAM`, where [`Mav::names_path`] is so.
    pub keyword: &'static str,
    /// The rule by which the client may use this return path.
    pub rule: String,
    /// Whether the rule names the return path, by its address or its domain. One that allows anything proves nothing.
    pub names_path: bool,
}

/// What the checks of the old world have found about one message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// The value of an Authentication-Results field (RFC 8601), without the field's name.
    pub authentication_results: String,
    /// Claims for the gateway's seal: method and result, such as `spf` and `pass`, in the order in which they are shown.
    pub claims: Vec<(String, String)>,
    /// Whether SPF, with the properties of the record, passes for the domain of the return path.
    pub return_path_verified: bool,
    /// Whether that holds for the whole address, and not for its domain only: no other user of the domain can have
    /// used it (SPP-6).
    pub return_path_whole: bool,
    /// The domain that DMARC aligns with the author, or that has signed for it.
    pub author_domain_verified: Option<String>,
    /// The places of the Authentication-Results fields in the message that claim to be ours, counted from 0 over all
    /// fields of its header: nobody may believe them.
    pub forged_results: Vec<usize>,
    /// What the author's domain asks for (DMARC), or a property of its SPF record, where that says to refuse: code and
    /// text for the session.
    pub refuse: Option<(Code, String)>,
    /// Whether a forwarder may send it on under its own return path, as far as SPF is concerned (SPP-5).
    pub may_keep_path: bool,
    /// The name in EHLO, where SPF passes for it and its record says that the host forwards (`p=meng`).
    pub forwarder: Option<String>,
    /// What was found about its cookie.
    pub cookie: CookieFound,
}

/// A message that has come in whole.
#[derive(Debug, Clone)]
pub struct Letter {
    /// From whom it came.
    pub client: Arc<Client>,
    /// The return path.
    pub return_path: ReturnPath,
    /// For whom.
    pub recipients: Vec<Recipient>,
    /// The octets as they came, lines ended with CRLF, dots undone.
    pub octets: Bytes,
    /// Whom it was delivered to, or sent on from, since it was here, as its Delivered-To fields have it.
    pub left: Vec<String>,
    /// The Received field for it, as one whole line or folded, with CRLF at its end.
    pub received: String,
    /// What MAV says of the return path.
    pub mav: Option<Mav>,
    /// What the checks have found.
    pub findings: Findings,
    /// How well its sender is known.
    pub authenticity: Authenticity,
    /// The keyword of MAV that a peer under agreement has written into its Received field (`spec/19-mav.md`).
    pub earlier_mav: Option<&'static str>,
    /// Whether each recipient gets a reply of its own (PRDR). Where not, the replies are made one.
    pub individual: bool,
    /// Whether SMTPUTF8 was said.
    pub utf8: bool,
    /// The envelope identifier that a notice has to repeat (RFC 3461 section 4.4), its xtext decoded.
    pub envelope_id: Option<String>,
    /// Whether a notice is to bring back the headers only (RFC 3461 section 4.3); `None` where it was not said.
    pub headers_only: Option<bool>,
    /// The identifier that came with `COOKIE=`, and where it can be tested.
    pub cookie: Option<(String, String)>,
}

impl Letter {
    /// Whether it was delivered to this address, or sent on from it, and comes back: it goes around in a circle. keeps: GW-108
    pub fn was_delivered_to(&self, address: &Address) -> bool {
        loops::Way::comes_back_to(&self.left, address)
    }
}

/// What a session says: three digits, an enhanced code and a text of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Three digits (RFC 5321 section 4.2).
    pub digits: u16,
    /// The enhanced code (RFC 3463).
    pub code: Code,
    /// For people.
    pub text: String,
}

/// What is answered to one recipient at RCPT TO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Welcome,
    /// Not this one.
    No(Reply),
    /// Not this one, and nothing more in this session: its client guesses.
    NoMore(Reply),
}

/// Why nobody has logged in. The client hears the same of both (SEC-10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginFailure {
    /// Name or password are wrong.
    Wrong,
    /// It cannot be found out now, or was tried too often.
    Later,
}

/// What is kept of a password for SCRAM-SHA-256 (RFC 5802, RFC 7677).
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    /// The name of the account, as [`Handler::login`] gives it.
    pub account: String,
    /// The salt.
    pub salt: Vec<u8>,
    /// How many rounds, at least 4096.
    pub iterations: u32,
    /// StoredKey.
    pub stored_key: [u8; 32],
    /// ServerKey.
    pub server_key: [u8; 32],
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScramKeys(not shown)")
    }
}

/// Who takes what comes in over SMTP.
pub trait Handler: Send + Sync + 'static {
    /// Logs in by name and password: the name of the account. The same work is done for names that do not exist.
    fn login<'a>(
        &'a self,
        name: &'a str,
        password: &'a str,
        from: IpAddr,
    ) -> Later<'a, Result<String, LoginFailure>>;

    /// The keys for SCRAM of this name, and of a name that does not exist keys that fit nothing and stay the same.
    fn scram_keys<'a>(&'a self, name: &'a str, from: IpAddr) -> Later<'a, Result<ScramKeys, LoginFailure>>;

    /// A proof of SCRAM was wrong for this name. Who counts wrong passwords counts this with them.
    fn login_failed<'a>(&'a self, _name: &'a str, _from: IpAddr) -> Later<'a, ()> {
        Box::pin(async {})
    }

    /// Whether a recipient is taken for this client and return path, as far as that is known before the content.
    fn recipient<'a>(
        &'a self,
        client: &'a Client,
        return_path: &'a ReturnPath,
        recipient: &'a Recipient,
    ) -> Later<'a, Verdict>;

    /// Takes a message: one disposition for each recipient, in order; [`Disposition::Accepted`] only once it is durable.
    /// What is pending at the node comes as [`Disposition::Pending`] where responsibility was not taken: the session says
    /// 450 for it, and the client comes again.
    ///
    /// # Errors
    /// The reply for the message as a whole.
    fn take(&self, letter: Letter) -> Later<'_, Result<Vec<Disposition>, Reply>>;
}
