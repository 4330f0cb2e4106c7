//! The console in a real headless browser, over real nodes: `scripts/test browser` runs this. Without chromium and
//! chromedriver there is nothing to run.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod driver;

use std::path::Path;

use driver::Browser;
use waxwing_tests::user::User;
use waxwing_tests::world::until;
use waxwing_tests::{Site, World, letter};

/// What would show that something of a letter has run.
const RAN: &str = "return window.ran === undefined && document.title.includes('Waxwing')";

fn hostile_letter() -> message::Message {
    let eml = "From: Alice Ahlgren <alice@north.test>\r\nTo: bob@south.test\r\n\
        Subject: <script>window.ran=1;document.title='ran'</script><img src=x onerror=\"window.ran=2\">\r\n\
        Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n\
        Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
        Plain: <script>window.ran=3</script>\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n\
        <h1>Spring in the orchard</h1><p>Dear Bob, the <b>waxwings</b> are back, and they have found the last of the \
        rowan berries. Come and see them on <a href=\"https://north.test/day\">Saturday</a>.</p>\
        <blockquote>Are they really here already?</blockquote>\
        <script>parent.ran=4;window.ran=4</script><img src=\"http://tracker.test/p.gif\" onerror=\"parent.ran=5\">\
        <svg onload=\"parent.ran=6\"></svg><form action=\"http://evil.test\"><input name=q></form>\r\n--b--\r\n--m\r\n\
        Content-Type: image/png\r\nContent-Disposition: attachment; filename=\"orchard.png\"\r\n\
        Content-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n--m--\r\n";
    translate::import(eml.as_bytes(), &translate::ImportOptions::default()).unwrap().message
}

/// A letter with a file, which is not fetched before it is accepted.
fn letter_with_file(subject: &str, text: &str) -> message::Message {
    let film = "01234567890123456789012345678901234567890123456789012345678901234567890\r\n".repeat(4_000);
    let eml = format!(
        "From: Alice Ahlgren <alice@north.test>\r\nTo: carol@south.test\r\nSubject: {subject}\r\n\
         Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\
         \r\n--b\r\nContent-Type: text/plain\r\n\r\n{text}\r\n--b\r\nContent-Type: text/csv\r\n\
         Content-Disposition: attachment; filename=\"minutes.csv\"\r\n\r\n{film}\r\n--b--\r\n"
    );
    translate::import(eml.as_bytes(), &translate::ImportOptions::default()).unwrap().message
}

fn letter_about(subject: &str, text: &str) -> message::Message {
    let eml = format!(
        "From: Alice Ahlgren <alice@north.test>\r\nTo: carol@south.test\r\nSubject: {subject}\r\n\
         Date: Sun, 22 Nov 2026 10:00:00 +0000\r\n\r\n{text}\r\n"
    );
    translate::import(eml.as_bytes(), &translate::ImportOptions::default()).unwrap().message
}

async fn story() -> World {
    let north = Site::new("north.test").console(&["alice"]);
    // Its policy service is not there, which its operator is told.
    let south = Site::new("south.test")
        .console(&["bob"])
        .lines("[policy-service]\nat = \"unix:nowhere.sock\"\nwhen-silent = \"rules\"\n")
        .rule("hold-carol", "carol@south.test", "hold text");
    let mut world = World::new(&[north, south, Site::new("west.test")]).await;
    world.start("north.test").await;
    world.start("south.test").await;
    world
}

/// Everything that the browser is to find.
async fn mail(world: &World) -> User {
    let mut alice = world.user("alice@north.test").await;
    for name in ["bob", "carol"] {
        world.user(&format!("{name}@south.test")).await;
    }
    // Bob trusts somebody whom Alice could be taken for.
    world.node("south.test").trust("bob", "a1ice@north.test", "").await.unwrap();
    let evil = alice.send(&hostile_letter(), &["bob@south.test", "nobody@south.test"]).await;
    world.events("north.test").settled(evil, "bob@south.test").await;
    let meeting = "Dear Carol,\r\n\r\nthe committee would like to hear you.\r\n\r\nAlice";
    for letter in [
        letter_about("Shall we meet on Thursday?", meeting),
        letter_with_file("Minutes of the meeting", "They are attached."),
        letter_with_file("A third letter", "Short."),
    ] {
        alice.send(&letter, &["carol@south.test"]).await;
    }
    // Nobody listens for west.test, so that something waits.
    for number in 0..3 {
        let text = format!("Number {number}.");
        alice.send(&letter("alice@north.test", &text), &["wanda@west.test", "will@west.test"]).await;
    }
    let held = || world.node("south.test").held(None, None, 10).unwrap().len() == 3;
    assert!(until(held).await, "three letters are held for Carol");
    alice
}

fn at(world: &World, domain: &str) -> String {
    format!("http://{}", world.running(domain).console_address().unwrap())
}

fn log_in(browser: &Browser, at: &str, account: &str) {
    browser.open(&format!("{at}/login"));
    browser.fill("input[name=account]", account);
    browser.fill("input[name=password]", &format!("password of {account}"));
    browser.click("button.main");
    browser.until("somebody is logged in", |browser| browser.path() != "/login");
}

fn log_out(browser: &Browser) {
    browser.click(".who button");
    browser.until("nobody is logged in", |browser| browser.path() == "/login");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_console_in_a_browser() {
    if std::env::var_os("WAXWING_BROWSER").is_none() {
        println!("SKIPPED: `scripts/test browser` drives a browser; this run does not.");
        return;
    }
    let world = story().await;
    let mut alice = mail(&world).await;
    let folder = std::env::var_os("WAXWING_SCREENSHOTS").unwrap_or_else(|| "target/screenshots".into());
    let browser = tokio::task::block_in_place(|| Browser::start(Path::new(&folder)));
    tokio::task::block_in_place(|| {
        enters(&browser, &world);
        decides(&browser, &world);
        reads(&browser, &world);
        operates(&browser, &world);
        explains(&browser, &world);
    });
    // What comes while one looks appears by itself.
    tokio::task::block_in_place(|| log_in(&browser, &at(&world, "south.test"), "carol"));
    alice.send(&letter_about("It came while you looked", "Hello."), &["carol@south.test"]).await;
    tokio::task::block_in_place(|| {
        browser.until_text("It came while you looked");
        log_out(&browser);
        decides_without_scripts(&browser, &world);
        blocks(&browser, &world);
    });
}

/// How many letters are to be decided about.
const TO_DECIDE: &str = "return document.querySelectorAll('.card button[value=accept]').length";

/// Everything works where no script runs: in, decided, out.
fn decides_without_scripts(browser: &Browser, world: &World) {
    let south = at(world, "south.test");
    browser.scripts(false);
    log_in(browser, &south, "carol");
    browser.until_text("Held for you");
    assert_eq!(browser.run("return document.documentElement.className"), "", "no script has run");
    assert_eq!(browser.run(TO_DECIDE), 2);
    assert!(!browser.text().contains("accept and trust · "), "keys are told of only where they do something");
    browser.pictures("held-without-scripts");
    // Whoever opens another page at once takes back what was sent.
    browser.run("document.body.dataset.before = 'yes'");
    browser.click("button[value=accept]");
    let answered = "return document.body !== null && document.body.dataset.before === undefined";
    browser.until("it is answered", |browser| browser.run(answered) == true);
    browser.until("it is decided", |browser| {
        browser.open(&format!("{south}/held"));
        browser.run(TO_DECIDE) == 1
    });
    log_out(browser);
    browser.scripts(true);
}

/// Who is blocked is on the list of people, and nothing of theirs is held any more.
fn blocks(browser: &Browser, world: &World) {
    let south = at(world, "south.test");
    log_in(browser, &south, "carol");
    browser.until("one is left", |browser| browser.run(TO_DECIDE) == 1);
    browser.click("button[value=block]");
    browser.until("nothing is to be decided", |browser| {
        browser.path() == "/held" && browser.run(TO_DECIDE) == 0
    });
    browser.open(&format!("{south}/correspondents"));
    browser.until_text("blocked");
    assert!(browser.text().contains("alice@north.test"));
    browser.pictures("blocked");
    log_out(browser);
}

fn enters(browser: &Browser, world: &World) {
    let south = at(world, "south.test");
    browser.open(&format!("{south}/mail"));
    assert_eq!(browser.path(), "/login");
    browser.pictures("login");
    browser.fill("input[name=account]", "carol");
    browser.fill("input[name=password]", "a wrong one");
    browser.click("button.main");
    browser.until_text("Account and password do not match.");
    browser.pictures("login-wrong");
    browser.open(&format!("{south}/enter/{}", "0".repeat(64)));
    browser.click("button.main");
    browser.until_text("not good any more");
    browser.pictures("used-link");
}

fn decides(browser: &Browser, world: &World) {
    log_in(browser, &at(world, "south.test"), "carol");
    assert_eq!(browser.path(), "/held");
    browser.until_text("Shall we meet on Thursday?");
    browser.until_text("the first letter from this address");
    browser.pictures("held");
    // By the keyboard: the first is opened, and accepted there.
    browser.press("j");
    browser.press("o");
    browser.until("the held letter is open", |browser| browser.path().starts_with("/held/"));
    browser.pictures("held-letter");
    browser.press("a");
    browser.until("the list is back", |browser| browser.path() == "/held");
    browser.until("two are left", |browser| {
        browser.run("return document.querySelectorAll('.card').length") == 2
    });
    // By one click: the second is refused.
    browser.click("button[value=refuse]");
    browser
        .until("one is left", |browser| browser.run("return document.querySelectorAll('.card').length") == 1);
    browser.open(&format!("{}/mail", at(world, "south.test")));
    browser.until_text("Shall we meet on Thursday?");
    log_out(browser);
}

fn reads(browser: &Browser, world: &World) {
    let south = at(world, "south.test");
    log_in(browser, &south, "bob");
    browser.until_text("Nothing is held");
    browser.pictures("held-empty");
    browser.open(&format!("{south}/mail"));
    browser.until_text("<script>window.ran=1");
    assert_eq!(browser.run(RAN), true, "the subject is text");
    browser.pictures("mail");
    browser.click(".whole");
    browser.until_text("Plain: <script>window.ran=3</script>");
    assert_eq!(browser.run(RAN), true, "the text is text");
    browser.until_text("the first letter from this address");
    browser.until_text("It looks like a1ice@north.test, and is another address.");
    browser.pictures("letter");
    browser.click(".tabs a:nth-child(2)");
    browser.until("the frame is there", |browser| {
        browser.run("return !!document.querySelector('iframe')") == true
    });
    browser.pictures("letter-formatted");
    assert_eq!(browser.run(RAN), true, "the frame does nothing");
    let asked =
        "return performance.getEntriesByType('resource').every(one => one.name.startsWith(location.origin))";
    assert_eq!(browser.run(asked), true, "nothing was fetched from elsewhere");
    // The same document by itself is as harmless as in its frame.
    browser.open(&format!("{}{}/html", south, browser.path()));
    browser.until_text("Spring in the orchard");
    let harmless = "return document.querySelectorAll('script, img, svg, form, input').length === 0 && window.ran === undefined";
    assert_eq!(browser.run(harmless), true);
    // By which key her letters were sealed.
    browser.open(&format!("{south}/correspondents"));
    browser.fill("#who", "alice@north.test");
    browser.click("button[value=trusted]");
    browser.until_text("decided in the console");
    browser.until_text("north.test, ");
    browser.pictures("correspondents-sealed");
    browser.open(&format!("{south}/mail"));
    log_out(browser);
}

/// What the operator of the other side is told: what needs to be done, why a letter came in, and why another did not.
fn explains(browser: &Browser, world: &World) {
    let south = at(world, "south.test");
    let entry = world.node("south.test").store().mailbox("bob", None, 1).unwrap().remove(0);
    let identity = entry.identity.to_string();
    log_in(browser, &south, "bob");
    browser.open(&format!("{south}/alerts"));
    browser.until_text("The policy service does not answer");
    browser.pictures("alerts-filled");
    browser.open(&format!("{south}/policy?id={identity}&to=bob%40south.test"));
    browser.until_text("brought by");
    browser.until_text("it does not answer");
    browser.pictures("policy-explained");
    browser.open(&format!("{south}/trace?id={identity}"));
    browser.until_text("Refused, and not kept");
    browser.until_text("no account has nobody@south.test");
    browser.pictures("trace-refused");
    log_out(browser);
}

fn operates(browser: &Browser, world: &World) {
    let north = at(world, "north.test");
    log_in(browser, &north, "alice");
    for (path, name, text) in [
        ("/queue", "queue", "west.test"),
        ("/alerts", "alerts", ""),
        ("/flow", "flow", "west.test"),
        ("/peers", "peers", "south.test"),
        ("/domains", "domains", "its key is in the DNS"),
        ("/accounts", "accounts", "alice@north.test"),
        ("/sent", "sent", "wanda@west.test"),
        ("/trace", "trace", ""),
        ("/policy", "policy", "otherwise"),
        ("/correspondents", "correspondents", "nobody@south.test"),
        ("/nothing", "nothing", "There is no such page."),
    ] {
        browser.open(&format!("{north}{path}"));
        browser.until_text(text);
        browser.pictures(name);
    }
    // An alias is made by hand, and shows where its mail is to go and what it waits for.
    browser.open(&format!("{north}/aliases"));
    browser.until_text("There are no aliases.");
    browser.fill("input[name=alias]", "info@north.test");
    browser.fill("input[name=target]", "bob@south.test");
    browser.click("button[value=add]");
    browser.until_text("info@north.test");
    browser.pictures("aliases");
    browser.open(&format!("{north}/forwarding"));
    browser.until_text("Forwarding");
    browser.pictures("forwarding");
    browser.open(&format!("{north}/peers/south.test"));
    browser.until_text("What is remembered");
    browser.pictures("peer");
    browser.open(&format!("{north}/queue"));
    browser.click(".heat tbody th a");
    browser.until("the lane is open", |browser| browser.path() == "/queue/lane");
    browser.until_text("wanda@west.test");
    browser.pictures("lane");
    browser.click(".data tbody a");
    browser.until_text("What was tried");
    browser.pictures("leg");
    browser.click(".facts a");
    browser.until("the trace is open", |browser| browser.path() == "/trace");
    browser.until_text("Envelope");
    browser.pictures("trace-found");
    browser.open(&format!("{north}/sent"));
    browser.click(".row:last-child .whole");
    browser.until_text("refused");
    browser.pictures("sent-letter");
    browser.open(&format!("{north}/queue"));
    log_out(browser);
}
