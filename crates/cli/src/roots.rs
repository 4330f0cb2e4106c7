//! The public authorities that this machine trusts.

use std::path::PathBuf;

use transport::Roots;

use crate::Error;

/// Where systems keep the bundle of authorities.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];

/// The bundle that `SSL_CERT_FILE` names, else that of the system.
pub(crate) fn system() -> Result<Roots, Error> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let path = named.or_else(|| BUNDLES.iter().map(PathBuf::from).find(|path| path.is_file()));
    let path = path.ok_or_else(|| Error::Usage {
        text: "this machine has no bundle of public authorities".to_owned(),
        hint: Some("pin the key of your node with --pin, or name a bundle with SSL_CERT_FILE".to_owned()),
    })?;
    let text = std::fs::read_to_string(&path).map_err(Error::file(&path))?;
    Roots::from_pem(&text).map_err(|error| Error::Local(format!("{}: {error}", path.display())))
}
