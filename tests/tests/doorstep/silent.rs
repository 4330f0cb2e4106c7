//! A doorstep that never answers, and a node that redirects round and round, on virtual time.

use std::sync::Arc;

use message::address::Domain;
use message::{Cookie, Disposition, Redirect, SecretKey};
use node::{Answered, Clock, Consignment, Courier, Later, Node, Report, Trouble};
use testkit::Random;
use testkit::clock::{Life, NodeClock, Shift, Timeline};
use testkit::disk::{Disk, Vice};
use tokio::sync::mpsc::UnboundedSender;
use waxwing_tests::simulation::hand_in;

/// A node that redirects, and a doorstep that is silent.
struct Silent {
    clock: Arc<dyn Clock>,
    /// Whether it redirects also where that has failed.
    round: bool,
    /// When it was offered to, and whether a redirect had failed.
    heard: UnboundedSender<(u64, bool)>,
}

impl Courier for Silent {
    fn deliver<'a>(
        &'a self,
        offered: &'a Consignment,
        _: &'a (dyn Fn(&str, &str) + Send + Sync),
    ) -> Later<'a, Report> {
        // Whoever has heard enough is gone.
        let _ = self.heard.send((self.clock.now_ms(), offered.redirect_failed));
        let redirect = Redirect {
            address: "5.9.0.1".to_owned(),
            port: 7_626,
            key_digest: [1; 32],
            ticket: vec![1; 40],
            not_after: u64::MAX,
        };
        let answer = match offered.redirect_failed && !self.round {
            true => Disposition::Accepted,
            false => Disposition::Redirected(redirect),
        };
        Box::pin(async { Report { result: Ok(vec![answer]), tried: Vec::new(), passed_on: Vec::new() } })
    }

    fn deliver_to_doorstep<'a>(
        &'a self,
        _: &'a Consignment,
        _: &'a Redirect,
        _: &'a (dyn Fn(&str, &str) + Send + Sync),
    ) -> Later<'a, Report> {
        Box::pin(std::future::pending())
    }

    fn inquire<'a>(&'a self, _: &'a Domain, _: &'a [Cookie]) -> Later<'a, Result<Vec<Answered>, Trouble>> {
        Box::pin(std::future::pending())
    }

    fn give_up<'a>(&'a self, _: &'a Domain, _: &'a [Cookie]) -> Later<'a, ()> {
        Box::pin(async {})
    }
}

/// After five minutes the sender goes back to the node; and where that redirects again, it is asked anew, later.
///
/// proves: DOOR-9, EXC-19
#[tokio::test(start_paused = true)]
async fn a_doorstep_that_never_answers_has_five_minutes() {
    for round in [false, true] {
        let life = Life::begin();
        let shift = Arc::new(Shift::default());
        let clock = Arc::new(NodeClock::new(Timeline::begin(), shift, life.clone(), Random::new(1)));
        let store = Disk::new(Vice::None).open(&life).unwrap();
        let zones = Arc::new(dns::FixedZones::new());
        let settings = testkit::site::settings("here.test", &SecretKey::from_seed(&[1; 32]));
        let node = Node::new(settings, store, zones, clock.clone(), Arc::new(node::Quiet));
        hand_in(&node, &["carol@far.test"]).await;
        let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
        let running = tokio::spawn(node.dispatcher(Arc::new(Silent { clock, round, heard })).run());
        let (offered_ms, failed) = hears.recv().await.unwrap();
        assert!(!failed);
        let (again_ms, failed) = hears.recv().await.unwrap();
        assert!(failed, "it says that the redirect has failed");
        assert!((300_000..301_000).contains(&(again_ms - offered_ms)), "after {}", again_ms - offered_ms);
        if round {
            let (later_ms, failed) = hears.recv().await.unwrap();
            assert!(!failed, "an offer like the first");
            assert!(later_ms - again_ms >= 1_000, "not at once");
        }
        running.abort();
    }
}
