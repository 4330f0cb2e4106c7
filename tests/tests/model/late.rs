//! The last question of a node whose time is over, asked by the real node: what model checking found missing. A recipient
//! that had been accepted since the last poll was told to the author as expired.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use dns::{Lookup, Mx, Resolver, Srv, Tlsa};
use message::address::Domain;
use message::{Cookie, Disposition};
use node::{Answered, Clock, Consignment, Courier, Later, Node, Quiet, Report, Settings, Trouble};
use storage::{Outcome, Store};

use super::replay::{HOLD_MS, NOW, Real, domain, pending};

/// proves: STA-10
#[tokio::test]
async fn what_was_accepted_in_the_last_moment_is_not_told_as_expired() {
    check(Ok(Answered::Final(Disposition::Accepted)), Disposition::Accepted).await;
    check(Ok(Answered::Final(Disposition::Relayed)), Disposition::Relayed).await;
    check(Ok(Answered::Final(Disposition::Withdrawn)), Disposition::Expired).await;
    check(Ok(Answered::Unknown), Disposition::Expired).await;
    check(Err(Trouble::Throttled), Disposition::Expired).await;
}

async fn check(answer: Result<Answered, Trouble>, expected: Disposition) {
    let real = tokio::task::spawn_blocking(|| {
        let real = Real::new(&super::TWO);
        real.settle(0, 0, Outcome::Waiting(pending(1, 0)));
        real
    });
    let real = real.await.unwrap();
    let store: Arc<dyn Store> = Arc::new(real.open(0));
    let node = Node::new(settings(), store.clone(), Arc::new(NoNames), Arc::new(Late), Arc::new(Quiet));
    let courier = Arc::new(NextHop { answer, heard: Mutex::default() });
    let running = tokio::spawn(node.dispatcher(courier.clone()).run());
    let envelope = store.envelopes_for(real.identity(), 1).unwrap().remove(0).id;
    let outcome = loop {
        if let Some(outcome) = store.envelope(envelope).unwrap().unwrap().recipients.remove(0).outcome {
            break outcome;
        }
        tokio::task::yield_now().await;
    };
    running.abort();
    assert_eq!(outcome, expected);
    assert_eq!(*courier.heard.lock().unwrap(), ["give up", "inquire"], "in this order");
}

/// A clock that stands after the end of all queues.
struct Late;

impl Clock for Late {
    fn now_ms(&self) -> u64 {
        NOW + HOLD_MS + 1
    }

    fn sleep_until(&self, _: u64) -> Later<'_, ()> {
        Box::pin(std::future::pending())
    }

    fn random(&self, octets: &mut [u8]) {
        octets.fill(7);
    }
}

/// The next hop, which answers about cookies.
struct NextHop {
    answer: Result<Answered, Trouble>,
    heard: Mutex<Vec<&'static str>>,
}

impl Courier for NextHop {
    fn deliver<'a>(
        &'a self,
        _: &'a Consignment,
        _: &'a (dyn Fn(&str, &str) + Send + Sync),
    ) -> Later<'a, Report> {
        Box::pin(std::future::pending())
    }

    fn inquire<'a>(
        &'a self,
        _: &'a Domain,
        cookies: &'a [Cookie],
    ) -> Later<'a, Result<Vec<Answered>, Trouble>> {
        self.heard.lock().unwrap().push("inquire");
        let answer = self.answer.clone().map(|one| vec![one; cookies.len()]);
        Box::pin(std::future::ready(answer))
    }

    fn give_up<'a>(&'a self, _: &'a Domain, _: &'a [Cookie]) -> Later<'a, ()> {
        self.heard.lock().unwrap().push("give up");
        Box::pin(std::future::ready(()))
    }
}

/// Nobody asks for names here.
struct NoNames;

impl Resolver for NoNames {
    fn srv<'a>(&'a self, _: &'a str) -> Lookup<'a, Srv> {
        Box::pin(std::future::pending())
    }

    fn txt<'a>(&'a self, _: &'a str) -> Lookup<'a, Vec<u8>> {
        Box::pin(std::future::pending())
    }

    fn tlsa<'a>(&'a self, _: &'a str) -> Lookup<'a, Tlsa> {
        Box::pin(std::future::pending())
    }

    fn addresses<'a>(&'a self, _: &'a str) -> Lookup<'a, IpAddr> {
        Box::pin(std::future::pending())
    }

    fn mx<'a>(&'a self, _: &'a str) -> Lookup<'a, Mx> {
        Box::pin(std::future::pending())
    }

    fn names<'a>(&'a self, _: IpAddr) -> Lookup<'a, String> {
        Box::pin(std::future::pending())
    }
}

fn settings() -> Settings {
    Settings {
        domain: domain(0),
        domains: Default::default(),
        relays: Vec::new(),
        rules: policy::Rules::accepting(1 << 30),
        part_octets_max: 1 << 30,
        queue_ms: HOLD_MS,
        retry_first_ms: 1_000,
        retry_longest_ms: 1_000,
        poll_min_seconds: 60,
        poll_max_seconds: 3600,
        hold_ms: HOLD_MS,
        accreditors: node::Accreditors::default(),
        rates: node::Rates::default(),
        loopback_doorsteps: false,
        redirect: true,
    }
}
