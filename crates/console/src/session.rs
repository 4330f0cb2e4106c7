//! Who is logged in: in memory only, so that a restart of the node logs everybody out.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use subtle::ConstantTimeEq;

use crate::limits::{LINKS_MAX, SESSION_IDLE_MS, SESSION_MS_MAX, SESSIONS_MAX, SESSIONS_PER_ACCOUNT_MAX};
use crate::outside::{Outside, secret};

/// Somebody who is logged in.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// What every form of this session has to show.
    pub(crate) csrf: String,
    /// Whose mail is shown; absent for an operator who came by a link.
    pub(crate) account: Option<String>,
    /// How the account stood when the session was opened: another password is another one.
    pub(crate) standing: Option<String>,
    /// Whether the pages of the operator are shown.
    pub(crate) operator: bool,
}

struct Kept {
    session: Session,
    since_ms: u64,
    used_ms: u64,
}

impl Kept {
    fn is_good(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.used_ms) < SESSION_IDLE_MS
            && now_ms.saturating_sub(self.since_ms) < SESSION_MS_MAX
    }
}

/// The sessions, by the secret in their cookie.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, Kept>>);

impl Sessions {
    /// Logs somebody in and gives the secret for the cookie. Where there is no room the session goes that was not used
    /// for the longest time.
    pub(crate) fn open(
        &self,
        account: Option<String>,
        standing: Option<String>,
        operator: bool,
        outside: &dyn Outside,
    ) -> String {
        let (name, csrf, now_ms) = (secret(outside), secret(outside), outside.now_ms());
        let mut sessions = self.lock();
        sessions.retain(|_, kept| kept.is_good(now_ms));
        let same = |kept: &Kept| kept.session.account == account;
        if sessions.values().filter(|kept| same(kept)).count() >= SESSIONS_PER_ACCOUNT_MAX {
            remove_oldest(&mut sessions, same);
        }
        if sessions.len() >= SESSIONS_MAX {
            remove_oldest(&mut sessions, |_| true);
        }
        let session = Session { csrf, account, standing, operator };
        sessions.insert(name.clone(), Kept { session, since_ms: now_ms, used_ms: now_ms });
        name
    }

    /// The session of a cookie, if it is still good; from now on it was used now, unless it only listens.
    pub(crate) fn find(&self, name: &str, now_ms: u64, listens: bool) -> Option<Session> {
        let mut sessions = self.lock();
        let kept = sessions.get_mut(name)?;
        if !kept.is_good(now_ms) {
            sessions.remove(name);
            return None;
        }
        if !listens {
            kept.used_ms = now_ms;
        }
        Some(kept.session.clone())
    }

    /// Logs out.
    pub(crate) fn close(&self, name: &str) {
        self.lock().remove(name);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remove_oldest(sessions: &mut HashMap<String, Kept>, which: impl Fn(&Kept) -> bool) {
    let oldest = sessions.iter().filter(|(_, kept)| which(kept)).min_by_key(|(_, kept)| kept.used_ms);
    if let Some(name) = oldest.map(|(name, _)| name.clone()) {
        sessions.remove(&name);
    }
}

/// Links by which an operator enters without an account: each good once and for a short time.
#[derive(Default)]
pub struct Links(Mutex<Vec<(String, u64)>>);

impl Links {
    /// A new link's secret. The oldest goes where too many wait.
    pub fn issue(&self, outside: &dyn Outside) -> String {
        let (token, now_ms) = (secret(outside), outside.now_ms());
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|(_, until_ms)| now_ms < *until_ms);
        if links.len() >= LINKS_MAX {
            links.remove(0);
        }
        links.push((token.clone(), now_ms + control::limits::LINK_SECONDS * 1_000));
        token
    }

    /// Uses a link up; whether it was good.
    pub(crate) fn take(&self, token: &str, now_ms: u64) -> bool {
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|(_, until_ms)| now_ms < *until_ms);
        let before = links.len();
        links.retain(|(known, _)| !bool::from(known.as_bytes().ct_eq(token.as_bytes())));
        links.len() < before
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[derive(Default)]
    struct Fixed {
        now_ms: AtomicU64,
        drawn: AtomicU64,
    }

    impl Outside for Fixed {
        fn now_ms(&self) -> u64 {
            self.now_ms.load(Ordering::SeqCst)
        }

        fn random(&self, octets: &mut [u8]) {
            let number = self.drawn.fetch_add(1, Ordering::SeqCst).to_be_bytes();
            octets[..8].copy_from_slice(&number);
        }
    }

    #[test]
    fn a_session_ends_when_it_is_idle_and_when_it_is_old() {
        let (sessions, outside) = (Sessions::default(), Fixed::default());
        let name = sessions.open(Some("ann".to_owned()), None, false, &outside);
        assert!(sessions.find(&name, SESSION_IDLE_MS - 1, true).is_some());
        assert!(sessions.find(&name, SESSION_IDLE_MS, false).is_none(), "listening is no use of it");
        let name = sessions.open(None, None, true, &outside);
        let mut now_ms = 0;
        while now_ms < SESSION_MS_MAX {
            assert!(sessions.find(&name, now_ms, false).is_some());
            now_ms += SESSION_IDLE_MS / 2;
        }
        assert!(sessions.find(&name, now_ms, false).is_none());
        let name = sessions.open(None, None, true, &outside);
        sessions.close(&name);
        assert!(sessions.find(&name, 0, false).is_none());
    }

    #[test]
    fn sessions_are_bounded() {
        let (sessions, outside) = (Sessions::default(), Fixed::default());
        let first = sessions.open(Some("ann".to_owned()), None, false, &outside);
        outside.now_ms.store(1, Ordering::SeqCst);
        for _ in 0..SESSIONS_PER_ACCOUNT_MAX {
            sessions.open(Some("ann".to_owned()), None, false, &outside);
        }
        assert!(sessions.find(&first, 1, false).is_none());
        for number in 0..SESSIONS_MAX {
            sessions.open(Some(number.to_string()), None, false, &outside);
        }
        assert_eq!(sessions.lock().len(), SESSIONS_MAX);
    }

    #[test]
    fn a_link_is_good_once_and_soon() {
        let (links, outside) = (Links::default(), Fixed::default());
        let token = links.issue(&outside);
        assert!(!links.take("", 0) && !links.take(&token[1..], 0));
        assert!(links.take(&token, 0));
        assert!(!links.take(&token, 0));
        let late = links.issue(&outside);
        assert!(!links.take(&late, control::limits::LINK_SECONDS * 1_000));
        let first = links.issue(&outside);
        (0..LINKS_MAX).for_each(|_| drop(links.issue(&outside)));
        assert!(!links.take(&first, 0));
    }
}
