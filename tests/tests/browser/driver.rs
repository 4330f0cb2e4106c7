//! A headless browser, driven by WebDriver (W3C) over loopback: no more of it than the tests need.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use data_encoding::BASE64;
use serde_json::{Value, json};

/// Arguments of the browser: no window, no sandbox of its own (tests run as root), nothing asked of the network.
const ARGUMENTS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

/// A browser with one window. It ends when it is dropped.
pub(crate) struct Browser {
    process: Child,
    port: u16,
    session: String,
    pictures: PathBuf,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts it with a fresh profile; `pictures` is where screenshots go.
    pub(crate) fn start(pictures: &Path) -> Browser {
        std::fs::create_dir_all(pictures).unwrap();
        let profile = tempfile::tempdir().unwrap();
        let port = waxwing_tests::world::free_address().port();
        let process = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let pictures = pictures.to_owned();
        let mut browser = Browser { process, port, session: String::new(), pictures, _profile: profile };
        browser
            .until("chromedriver answers", |browser| TcpStream::connect(("127.0.0.1", browser.port)).is_ok());
        let data = format!("--user-data-dir={}", browser._profile.path().display());
        let arguments: Vec<&str> = ARGUMENTS.iter().copied().chain([data.as_str()]).collect();
        let options = json!({ "args": arguments, "binary": "/usr/bin/chromium" });
        let wanted = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } });
        let made = browser.ask("POST", "/session", &wanted).expect("the browser starts");
        browser.session = made["sessionId"].as_str().unwrap().to_owned();
        browser
    }

    /// Opens an address.
    pub(crate) fn open(&self, url: &str) {
        self.tell("POST", "url", &json!({ "url": url }));
    }

    /// Types into the element that a selector of CSS names.
    pub(crate) fn fill(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.tell("POST", &format!("element/{element}/value"), &json!({ "text": text }));
    }

    /// Clicks.
    pub(crate) fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.tell("POST", &format!("element/{element}/click"), &json!({}));
    }

    /// Presses keys, wherever the focus is.
    pub(crate) fn press(&self, keys: &str) {
        let presses = |key: char| {
            [
                json!({ "type": "keyDown", "value": key.to_string() }),
                json!({ "type": "keyUp", "value": key.to_string() }),
            ]
        };
        let actions: Vec<Value> = keys.chars().flat_map(presses).collect();
        self.tell(
            "POST",
            "actions",
            &json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] }),
        );
    }

    /// What a script gives back.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.tell("POST", "execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// The text of the page as it is seen.
    pub(crate) fn text(&self) -> String {
        self.run("return document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// The path of the page.
    pub(crate) fn path(&self) -> String {
        self.run("return location.pathname").as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the page says something.
    pub(crate) fn until_text(&self, text: &str) {
        self.until(&format!("the page says {text:?}"), |browser| browser.text().contains(text));
    }

    /// Takes the page at the size of a desk and of a phone, in light and in dark.
    pub(crate) fn pictures(&self, name: &str) {
        for (device, width, height) in [("desk", 1280, 800), ("phone", 375, 760)] {
            for light in ["light", "dark"] {
                let phone = device == "phone";
                self.command(
                    "Emulation.setDeviceMetricsOverride",
                    json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone }),
                );
                let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": light }] });
                self.command("Emulation.setEmulatedMedia", media);
                let overflow = self.run(&format!("return document.documentElement.scrollWidth - {width}"));
                assert!(overflow.as_i64().unwrap() <= 0, "{name} is wider than a {device} by {overflow}");
                let taken = self.tell("GET", "screenshot", &Value::Null);
                let octets = BASE64.decode(taken.as_str().unwrap().as_bytes()).unwrap();
                std::fs::write(self.pictures.join(format!("{name}-{device}-{light}.png")), octets).unwrap();
            }
        }
        self.command("Emulation.clearDeviceMetricsOverride", json!({}));
    }

    /// Whether pages may run scripts from now on; what the driver itself runs on them goes on.
    pub(crate) fn scripts(&self, run: bool) {
        self.command("Emulation.setScriptExecutionDisabled", json!({ "value": !run }));
    }

    fn command(&self, name: &str, parameters: Value) {
        self.tell("POST", "goog/cdp/execute", &json!({ "cmd": name, "params": parameters }));
    }

    fn element(&self, selector: &str) -> String {
        let wanted = json!({ "using": "css selector", "value": selector });
        let found = self.tell("POST", "element", &wanted);
        let id = found.as_object().and_then(|found| found.values().next()).and_then(Value::as_str);
        id.unwrap_or_else(|| panic!("no {selector} on {}", self.path())).to_owned()
    }

    /// Waits for something that nobody announces.
    pub(crate) fn until(&self, what: &str, such: impl Fn(&Browser) -> bool) {
        for _ in 0..1_200 {
            if such(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let text = if self.session.is_empty() { String::new() } else { self.text() };
        panic!("in vain: {what}; the page is\n{text}");
    }

    fn tell(&self, method: &str, command: &str, body: &Value) -> Value {
        let path = format!("/session/{}/{command}", self.session);
        self.ask(method, &path, body).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// One question to the driver.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).map_err(|error| error.to_string())?;
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}",
            self.port
        );
        stream.write_all(head.as_bytes()).map_err(|error| error.to_string())?;
        stream.set_read_timeout(Some(Duration::from_secs(120))).map_err(|error| error.to_string())?;
        let body = answer_of(BufReader::new(stream)).map_err(|error| error.to_string())?;
        let parsed: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        match parsed["value"].get("error") {
            Some(error) if !error.is_null() => Err(parsed["value"].to_string()),
            _ => Ok(parsed["value"].clone()),
        }
    }
}

/// The body of an answer in HTTP. The driver keeps its connection open, whatever it is asked.
fn answer_of(mut stream: impl BufRead) -> std::io::Result<Vec<u8>> {
    let (mut line, mut octets) = (String::new(), 0);
    while stream.read_line(&mut line)? > 2 {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            octets = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    let mut body = vec![0; octets];
    stream.read_exact(&mut body)?;
    Ok(body)
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let _ = self.ask("DELETE", &format!("/session/{}", self.session), &Value::Null);
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
