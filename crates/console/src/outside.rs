//! What the console needs from outside of itself beside the node's answers.

/// Time and randomness: who runs the console brings them.
pub trait Outside: Send + Sync + 'static {
    /// Now, in Unix milliseconds.
    fn now_ms(&self) -> u64;

    /// Fills with octets that nobody can guess.
    fn random(&self, octets: &mut [u8]);
}

/// 64 hexadecimal digits that nobody can guess.
pub(crate) fn secret(outside: &dyn Outside) -> String {
    let mut octets = [0; 32];
    outside.random(&mut octets);
    data_encoding::HEXLOWER.encode(&octets)
}
