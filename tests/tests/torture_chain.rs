//! Four processes of the real program on loopback addresses of their own, which know each other by MX records only: an author's
//! server, two forwarders that keep the sender, and a recipient's. The cookie of the author's server goes the whole way with the
//! message and is confirmed at each, and the recipient's later answer comes back to the author's status.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test, what goes wrong ends the test")]

use std::fs;
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use control::{ForwardOrder, HeldDecision, HeldView, Password, Request, Response};
use daemon::Config;
use message::address::Address;
use message::{Disposition, Identity, SecretKey};
use protocol::Enrol;
use storage::Origin;
use waxwing_tests::smtp::{Session, Smtp};
use waxwing_tests::torture::program;
use waxwing_tests::world::free_address;
use waxwing_tests::{Site, User, World, letter};

/// Each server, and at which of its addresses it listens and sends: the first forwarder sends from another one.
const SERVERS: [(&str, u8, u8); 4] =
    [("author.test", 11, 11), ("one.test", 12, 22), ("two.test", 13, 13), ("last.test", 14, 14)];
/// How long a process may take for something of which nobody is told.
const PATIENCE: Duration = Duration::from_secs(60);

fn ip(last: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, last])
}

/// A process that is killed with this value.
struct Process(Child);

impl Process {
    fn start(world: &World, domain: &str) -> Process {
        let folder = folder(world, domain);
        let file = |name: &str| fs::File::create(folder.join(name)).unwrap();
        let child = Command::new(program().unwrap())
            .args(["--json", "serve", "--config"])
            .arg(folder.join("node.toml"))
            .stdin(Stdio::null())
            .stdout(file("events.jsonl"))
            .stderr(file("errors.log"))
            .spawn();
        Process(child.unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended; nobody is left to hear that it could not be killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn folder(world: &World, domain: &str) -> PathBuf {
    world.data(domain).parent().unwrap().to_owned()
}

fn log(world: &World) -> String {
    let read = |domain: &str| {
        let read = |name: &str| fs::read_to_string(folder(world, domain).join(name)).unwrap_or_default();
        format!("--- {domain}\n{}{}\n", read("events.jsonl"), read("errors.log"))
    };
    SERVERS.iter().map(|(domain, ..)| read(domain)).collect()
}

/// Asks until there is an answer.
async fn wait_for<T>(world: &World, what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    match tokio::time::timeout(PATIENCE, waiting).await {
        Ok(answer) => answer,
        Err(_) => panic!("not in time: {what}\n{}", log(world)),
    }
}

async fn ask(world: &World, domain: &str, request: Request) -> Response {
    let socket = world.data(domain).join("control.sock");
    let mut client =
        wait_for(world, "a control socket", async || control::Client::connect(&socket).await.ok()).await;
    match client.call(&request).await.unwrap() {
        Response::Failure(failure) => panic!("{domain}: {failure:?}"),
        response => response,
    }
}

async fn add_account(world: &World, address: &str) -> User {
    let address = Address::parse(address).unwrap();
    let (account, domain) = (address.local().as_str().to_owned(), address.domain().as_str().to_owned());
    let password = format!("password of {account}");
    let (name, addresses) = (account.clone(), vec![address.to_string()]);
    let add = Request::AccountAdd { name, addresses, password: Some(Password::new(password.clone())) };
    ask(world, &domain, add).await;
    let device = SecretKey::from_seed(&[7; 32]);
    let mut session = world.session_of(&domain, &device).await.unwrap();
    session.enrol(Enrol { account: account.clone(), password, device: "a test".to_owned() }).await.unwrap();
    User { address, account, session, device }
}

async fn forward(world: &World, alias: &str, target: &str) {
    let domain = alias.rsplit_once('@').unwrap().1;
    let order = ForwardOrder::Add {
        alias: alias.to_owned(),
        target: target.to_owned(),
        conceal: false,
        rewrite: false,
        granted: true,
        keep_sender: true,
    };
    ask(world, domain, Request::Forward { order }).await;
}

/// A port that is free at all addresses.
fn common_port() -> u16 {
    loop {
        let port = free_address().port();
        if (11..=14).all(|last| TcpListener::bind((ip(last), port)).is_ok()) {
            return port;
        }
    }
}

async fn lay_out(port: u16, more: &str) -> World {
    let site = |(domain, listens, sends): (&'static str, u8, u8)| {
        Site::new(domain).of_the_old_world().records(&format!("@ MX 10 mx\nmx A 127.0.0.{listens}")).lines(
            &format!(
                "[policy]\nfirst-contact = \"accept\"\n{}[gateway]\nhost = \"mx.{domain}\"\n\
             transfer = \"127.0.0.{listens}:{port}\"\n{more}[gateway.out]\nport = {port}\n\
             from-address = \"127.0.0.{sends}\"\nnotice-seconds = 600\n",
                if domain == "last.test" {
                    "[[rules]]\nname = \"bob-decides\"\nto = \"bob@last.test\"\nhold = \"all\"\n"
                } else {
                    ""
                }
            ),
        )
    };
    World::new(&SERVERS.map(site)).await
}

/// What the gateway of a server that does not run any more has found of the one message that it has.
fn found(world: &World, domain: &str) -> String {
    let config = Config::read(&folder(world, domain).join("node.toml")).unwrap();
    let store = daemon::open_store(&config).unwrap();
    let bound = |digit: &str| Identity::from_hex(&digit.repeat(64)).unwrap();
    let known = store.identities(bound("0"), bound("f"), 10).unwrap();
    let envelopes = known.iter().flat_map(|identity| store.envelopes_for(*identity, 10).unwrap());
    let origin = envelopes.map(|envelope| envelope.origin).find_map(|origin| match origin {
        Origin::Legacy(legacy) => Some(legacy),
        _ => None,
    });
    origin.unwrap().authentication_results
}

/// proves: CKS-3, CKS-9, FWD-24, GW-91, GW-93
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_goes_along_a_chain_of_forwarders_and_a_later_answer_comes_back() {
    let world = lay_out(common_port(), "").await;
    let processes: Vec<Process> = SERVERS.iter().map(|(domain, ..)| Process::start(&world, domain)).collect();
    let mut alice = add_account(&world, "alice@author.test").await;
    add_account(&world, "bob@last.test").await;
    forward(&world, "ann@one.test", "ann@two.test").await;
    forward(&world, "ann@two.test", "bob@last.test").await;

    let sent = alice.send(&letter("alice@author.test", "By way of two others\r\n"), &["ann@one.test"]).await;
    let list = || Request::HeldList { account: None, after: None, limit: 10 };
    let held: HeldView =
        wait_for(&world, "held mail at the end", async || match ask(&world, "last.test", list()).await {
            Response::HeldList { held } => held.into_iter().next(),
            other => panic!("{other:?}"),
        })
        .await;
    let before = alice.dispositions(sent).await;
    assert!(matches!(before[0], Disposition::Pending { .. }), "{before:?}");

    // Bob does not want it: the notice goes to the return path of the author's server, past both forwarders.
    let decide = Request::HeldDecide {
        identity: held.identity,
        recipient: None,
        decision: HeldDecision::Refuse { code: None },
        account: None,
    };
    ask(&world, "last.test", decide).await;
    let settled = wait_for(&world, "the answer at the author", async || {
        let all = alice.dispositions(sent).await;
        all.iter().all(Disposition::is_final).then_some(all)
    })
    .await;
    assert!(matches!(&settled[0], Disposition::Refused { code, .. } if code.class == 5), "{settled:?}");

    drop(processes);
    for (domain, how) in [("one.test", "direct"), ("two.test", "confirmed"), ("last.test", "confirmed")] {
        let results = found(&world, domain);
        assert!(results.contains("x-cookie=pass") && results.contains(how), "{domain}: {results}");
        assert!(results.contains("@author.test"), "{domain}: {results}");
    }
}

/// proves: GW-15
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_takes_up_a_new_certificate_when_it_is_told_to() {
    let port = common_port();
    let world = lay_out(port, "certificate = \"smtp.crt\"\nkey = \"smtp.key\"\n").await;
    let put = |pair: &transport::HostKey| {
        let write = |name: &str, text: &str| {
            let fresh = folder(&world, "last.test").join(format!("{name}.new"));
            let mut options = fs::OpenOptions::new();
            let file = options.write(true).create_new(true).mode(0o600).open(&fresh);
            file.unwrap().write_all(text.as_bytes()).unwrap();
            fs::rename(&fresh, folder(&world, "last.test").join(name)).unwrap();
        };
        write("smtp.key", &pair.key_pem());
        write("smtp.crt", &pair.chain_pem());
    };
    let fresh = || transport::HostKey::generate(transport::KeyKind::EcdsaP256, &["mx.last.test"]).unwrap();
    let (first, second) = (fresh(), fresh());
    put(&first);
    let process = Process::start(&world, "last.test");
    let address = SocketAddr::new(ip(14), port);
    let smtp = Smtp { address, tls: true, to: "bob@last.test" };
    let shown = async || {
        let smtp = smtp.clone();
        let open = move || Session::open(&smtp).ok().and_then(|session| session.certificate());
        tokio::task::spawn_blocking(open).await.unwrap()
    };
    let is = |pair: &transport::HostKey, shown: &[u8]| {
        pair.chain_pem().replace('\n', "").contains(&data_encoding::BASE64.encode(shown))
    };
    wait_for(&world, "SMTP", async || TcpStream::connect(address).ok()).await;
    assert!(is(&first, &shown().await.unwrap()));
    put(&second);
    let told = Command::new("kill").args(["-HUP", &process.0.id().to_string()]).status().unwrap();
    assert!(told.success());
    wait_for(&world, "the new certificate", async || shown().await.filter(|shown| is(&second, shown))).await;
}
