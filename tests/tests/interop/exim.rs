//! Exim, which knows two things that few others do: a reply for each recipient (PRDR), and CSA.

use message::Disposition;
use waxwing_tests::foreign::{Foreign, folder};
use waxwing_tests::{World, letter};

use crate::postfix::{arrives, north, only_mail, runtime, settled};
use crate::street::{Names, command, package};

/// Where Exim is.
const EXIM: &str = "127.0.0.27";
/// Its zone, which says nothing of who may send for it.
const ZONE: &str = "@ MX 10 mx\nmx A 127.0.0.27\n";

/// An Exim for exim.test, that relays for this machine, asks for PRDR, and takes mail for its domain only from clients whose
/// names have a CSA record that says so.
struct Exim(Foreign);

impl Exim {
    fn start() -> Exim {
        let at = folder("waxwing-exim-").unwrap();
        let path = at.path().display().to_string();
        let config = format!(
            "primary_hostname = mx.exim.test\nlog_file_path = {path}/mail%slog\nlocal_interfaces = {EXIM}\n\
             daemon_smtp_ports = 25\ntls_advertise_hosts =\nkeep_environment =\nacl_smtp_rcpt = recipient\n\
             retry_interval_max = 1s\nbegin acl\nrecipient:\n accept domains = !exim.test\n\
             \x20deny !verify = csa\n  message = CSA says $csa_status\n\
             \x20accept condition = ${{if eq{{$csa_status}}{{ok}}}}\n deny message = CSA says $csa_status\n\
             begin routers\nhere:\n driver = redirect\n domains = exim.test\n data = :blackhole:\n\
             out:\n driver = dnslookup\n transport = smtp\n self = send\n\
             begin transports\nsmtp:\n driver = smtp\n interface = {EXIM}\n hosts_try_prdr = *\n hosts_avoid_tls = *\n\
             begin retry\n* * F,1h,1s\n"
        );
        std::fs::write(at.path().join("exim.conf"), config).unwrap();
        let start = format!(
            "echo 'nameserver 127.0.0.53' >/etc/resolv.conf\nmkdir -p /etc/exim4 /var/spool/exim4\n\
             cp {path}/exim.conf /etc/exim4/exim4.conf\nchmod 644 /etc/exim4/exim4.conf\n\
             chown Debian-exim:Debian-exim /var/spool/exim4 {path}\nexec exim4 -bdf -q1s"
        );
        let listens = format!("{EXIM}:25").parse().unwrap();
        Exim(Foreign::start(at, &[&package("exim")], &start, Some(listens), None).unwrap())
    }

    fn log(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.0.folder().join(name)).unwrap_or_default();
        self.0.log() + &read("mailmainlog") + &read("mailpaniclog")
    }
}

/// Starts nsd, unbound and an Exim. One message of a sender that nothing proves goes to two of ours in one transaction; one of
/// them wants to decide first. Exim asks for PRDR, and has 250 for the one and 450 for the other. He accepts; Exim is made to try again, and has 250 for him now, by what was decided. Everybody has the message once.
#[test]
#[ignore = "scripts/interop runs it"]
fn exim_has_a_reply_for_each_recipient_and_hears_later_what_was_decided() {
    runtime().block_on(async {
        let mut world = World::new(&[north("").rule("bob-decides", "bob@north.test", "hold all")]).await;
        let _names = Names::start(&[("exim.test", ZONE)], &[("north.test", world.zones("north.test"))]);
        let exim = Exim::start();
        world.start("north.test").await;
        let alice = world.user("alice@north.test").await;
        let bob = world.user("bob@north.test").await;
        let to = ["--server", EXIM, "--from", "zoe@exim.test", "--to", "alice@north.test,bob@north.test"];
        let (good, said) = command("swaks", &to, b"");
        assert!(good, "{said}\n{}", exim.log());
        let line = async |mark: &str| {
            let find = async || exim.log().lines().find(|line| line.contains(mark)).map(str::to_owned);
            arrives(mark, find, || exim.log()).await
        };
        only_mail(&world, &alice, || exim.log()).await;
        let taken = line("=> alice@north.test").await;
        assert!(taken.contains("PRDR") && taken.contains("250"), "{taken}");
        let waiting = line("== bob@north.test").await;
        assert!(waiting.contains("450 4.7.1"), "{waiting}");
        let node = world.node("north.test");
        assert!(node.store().mailbox("bob", None, 2).unwrap().is_empty());
        let held = node.store().held(Some("bob"), None, 2).unwrap();
        let [held] = held.as_slice() else { panic!("{held:?}") };
        let accept = node::Choice::Accept { trust: false };
        node.decide_held(Some("bob"), held.identity, &bob.address, accept).await.unwrap();
        let identity = only_mail(&world, &bob, || exim.log()).await;
        assert_eq!(identity, held.identity);

        exim.0.run("exim4 -qff").unwrap();
        let taken = line("=> bob@north.test").await;
        assert!(taken.contains("250"), "{taken}");
        line("Completed").await;
        for user in [&alice, &bob] {
            let entries = node.store().mailbox(&user.account, None, 3).unwrap();
            assert_eq!(entries.len(), 1, "{}: once\n{}", user.account, exim.log());
            assert_eq!(entries[0].identity, identity);
        }
        let deliveries = exim.log().lines().filter(|line| line.contains("=> alice@north.test")).count();
        assert_eq!(deliveries, 1, "who was served is not offered again\n{}", exim.log());
    });
}

/// Starts nsd, unbound and an Exim that takes mail only where CSA allows it: from us with a record for our name in EHLO, and
/// from us without one, or from another address under our name, not.
#[test]
#[ignore = "scripts/interop runs it"]
fn exim_believes_our_name_by_its_csa_record() {
    let sent = |records: &'static str, wanted: &'static str| {
        runtime().block_on(async {
            let mut world = World::new(&[north("").records(records)]).await;
            let _names = Names::start(&[("exim.test", ZONE)], &[("north.test", world.zones("north.test"))]);
            let exim = Exim::start();
            world.start("north.test").await;
            let mut alice = world.user("alice@north.test").await;
            let sent = alice.send(&letter("alice@north.test", "Hello\r\n"), &["zoe@exim.test"]).await;
            let settled = settled(&mut alice, sent, || exim.log()).await;
            match &settled[0] {
                Disposition::Relayed => assert_eq!(wanted, "relayed", "{}", exim.log()),
                other => assert!(format!("{other:?}").contains(wanted), "{other:?}\n{}", exim.log()),
            }
            let forged = ["--server", EXIM, "--ehlo", "mx.north.test", "--to", "zoe@exim.test"];
            let (good, said) = command("swaks", &forged, b"");
            assert!(!good && said.contains("CSA says"), "{said}");
        });
    };
    sent("_client._smtp.mx SRV 1 2 1 mx", "relayed");
    sent("", "CSA says unknown");
}
