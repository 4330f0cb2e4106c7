//! The gateway as it stands in the configuration (`spec/18-gateway.md`).

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How this node speaks with the old world. Without the section it does not.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct GatewayConfig {
    /// The name in greetings, EHLO and Received; without it `mx.` and the first domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Where other servers bring mail, port 25 once it is public; TCP. Without it none is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer: Option<SocketAddr>,
    /// Where users with an ordinary mail program submit after STARTTLS, usually port 587.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submission: Option<SocketAddr>,
    /// Where they submit over TLS from the start, usually port 465.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submissions: Option<SocketAddr>,
    /// The certificate for SMTP, PEM; without it that of `[tls]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// Its key, PEM, mode 0600.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Octets of the largest message.
    pub message_octets: u64,
    /// Whether the COOKIES extension is spoken (`spec/21-smtp-cookies.md`).
    pub cookies: bool,
    /// What is done where the checks fail.
    pub checks: ChecksConfig,
    /// Mail that goes out.
    pub out: OutConfig,
    /// Who may use which return path (`spec/19-mav.md`).
    pub mav: MavConfig,
    /// Signatures of the old world for what goes out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dkim: Vec<DkimConfig>,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        GatewayConfig {
            host: None,
            transfer: None,
            submission: None,
            submissions: None,
            certificate: None,
            key: None,
            message_octets: 48 << 20,
            cookies: true,
            checks: ChecksConfig::default(),
            out: OutConfig::default(),
            mav: MavConfig::default(),
            dkim: Vec::new(),
        }
    }
}

/// What is done where the checks of the old world fail. What they find is noted in any case.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ChecksConfig {
    /// Whether anything is checked.
    pub enabled: bool,
    /// Whether a message is refused where the policy of the author's domain (DMARC) says so.
    pub refuse_dmarc: bool,
    /// Whether a message is refused where SPF fails for its return path.
    pub refuse_spf: bool,
    /// Whether a message is refused where CSA says that no client is called so.
    pub refuse_csa: bool,
}

impl Default for ChecksConfig {
    fn default() -> Self {
        ChecksConfig { enabled: true, refuse_dmarc: true, refuse_spf: false, refuse_csa: false }
    }
}

/// Mail that goes out to domains without nodes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct OutConfig {
    /// Whether any goes out.
    pub enabled: bool,
    /// The port of other servers; anything but 25 is for tests.
    pub port: u16,
    /// A server that takes all of it, `host:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smart_host: Option<String>,
    /// As whom to log in there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smart_host_user: Option<String>,
    /// The file of the password for it, mode 0600.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smart_host_password: Option<PathBuf>,
    /// The address from which connections are made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_address: Option<std::net::IpAddr>,
    /// Networks that are not public and that mail may go to all the same, `10.1.0.0/16`. Loopback is one by itself where the
    /// node listens there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub private_networks: Vec<String>,
    /// Hours for which a notice of failure is awaited after another server has taken a message.
    pub notice_hours: u64,
    /// Seconds in place of them, for tests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice_seconds: Option<u32>,
    /// Hours for which a domain that was seen to have nodes is not sent to by SMTP.
    pub native_hours: u64,
}

impl Default for OutConfig {
    fn default() -> Self {
        OutConfig {
            enabled: true,
            port: 25,
            smart_host: None,
            smart_host_user: None,
            smart_host_password: None,
            from_address: None,
            private_networks: Vec::new(),
            notice_hours: 24,
            notice_seconds: None,
            native_hours: 7 * 24,
        }
    }
}

/// Who may use which return path.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct MavConfig {
    /// The rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<MavRuleConfig>,
    /// A file of qmail's, `control/mailfromrules`, whose rules are taken over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mailfromrules: Option<PathBuf>,
    /// Accounts, and digests of certificates, whose keywords in Received fields are believed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub believed: Vec<String>,
}

/// One rule: who, and which addresses or domains.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct MavRuleConfig {
    /// Its name, for people.
    pub name: String,
    /// A network, `192.0.2.0/24`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The name of a host, whose address leads back to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// An account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The SHA-256 digest of a client's certificate, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Addresses, and domains in whole, as return paths.
    pub may_use: Vec<String>,
}

/// A key for DKIM.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DkimConfig {
    /// The domain that signs.
    pub domain: String,
    /// The selector of the key.
    pub selector: String,
    /// The key, PEM (PKCS #8), Ed25519 or RSA, mode 0600.
    pub key: PathBuf,
}
