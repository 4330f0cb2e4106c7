//! The legacy form of a message: RFC 5322 and MIME to the native form and back.
