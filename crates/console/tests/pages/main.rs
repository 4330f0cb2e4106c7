//! The pages over a node that is played: who comes in, what is refused, what is shown of what others wrote.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod played;
mod scene;
mod sessions;
mod shown;

/// Markup that does something where it is not escaped.
const EVIL: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u{202e}";
const HOST: &str = "127.0.0.1:7680";

/// Every page that there is, with something on it.
const PAGES: [&str; 26] = [
    "/correspondents",
    "/forwarding",
    "/forwarding?recipient=ann%40north.test&forwarder=old.test",
    "/aliases",
    "/peers/south.test",
    "/policy",
    "/policy?id=abababab&to=ann%40north.test",
    "/held",
    "/held/abababababab/ann@north.test",
    "/mail",
    "/mail/5",
    "/mail/5?view=html",
    "/sent",
    "/sent/7",
    "/queue",
    "/queue/lane?name=x",
    "/queue/leg/3",
    "/flow",
    "/trace",
    "/trace?id=abababab",
    "/peers",
    "/domains",
    "/accounts",
    "/alerts",
    "/nothing",
    "/login",
];
