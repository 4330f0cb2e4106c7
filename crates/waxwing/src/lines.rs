//! Lines of output that nobody waits for.
//!
//! Whoever reads what a node prints may be slow, or a pager that stands still. A thread of its own writes; what it has not
//! written yet is kept, up to a bound, and written in as few calls as it takes. Behind the bound lines are left out and
//! counted. keeps: CLI-13

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Octets that wait to be written. Some five thousand lines.
const WAITING_OCTETS_MAX: usize = 1024 * 1024;
/// From one call to the next: what comes meanwhile goes into the same one.
const PAUSE: Duration = Duration::from_millis(10);
/// How long the end of the program waits for the last lines.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Where lines go. Dropping it waits for nothing: see [`Lines::finish`].
#[derive(Debug)]
pub(crate) struct Lines {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// Lines that found no room since the last that did.
    left_out: u64,
    closing: bool,
    /// Whether the thread has ended, or could not be started.
    over: bool,
}

impl Lines {
    /// Lines to `out`. `said` makes the line, with its end, that says how many were left out.
    pub(crate) fn to(
        out: impl Write + Send + 'static,
        said: impl Fn(u64) -> String + Send + 'static,
    ) -> Lines {
        let shared = Arc::new(Shared::default());
        let own = shared.clone();
        let started =
            std::thread::Builder::new().name("lines".to_owned()).spawn(move || own.write_all(out, said));
        if started.is_err() {
            shared.lock().over = true;
        }
        Lines { shared }
    }

    /// One line, with its end. Never waits for whoever reads.
    pub(crate) fn push(&self, line: &str) {
        let mut state = self.shared.lock();
        if state.over {
            return;
        }
        if state.left_out > 0 || state.waiting.len() + line.len() > WAITING_OCTETS_MAX {
            // Nothing overtakes the word about those that were left out.
            state.left_out += 1;
            return;
        }
        let first = state.waiting.is_empty();
        state.waiting.extend_from_slice(line.as_bytes());
        drop(state);
        if first {
            self.shared.changed.notify_all();
        }
    }

    /// Waits a moment until everything is written. What comes afterwards is not.
    pub(crate) fn finish(&self) {
        let mut state = self.shared.lock();
        state.closing = true;
        self.shared.changed.notify_all();
        let _ = self.shared.changed.wait_timeout_while(state, LAST_WAIT, |state| !state.over);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all(&self, mut out: impl Write, said: impl Fn(u64) -> String) {
        loop {
            let mut state = self
                .changed
                .wait_while(self.lock(), |state| {
                    state.waiting.is_empty() && state.left_out == 0 && !state.closing
                })
                .unwrap_or_else(PoisonError::into_inner);
            let mut octets = std::mem::take(&mut state.waiting);
            let left_out = std::mem::take(&mut state.left_out);
            let last = state.closing;
            drop(state);
            if left_out > 0 {
                octets.extend_from_slice(said(left_out).as_bytes());
            }
            // Nobody reads any more where writing fails; the work goes on without it.
            if out.write_all(&octets).and_then(|()| out.flush()).is_err() || last {
                break;
            }
            let _ = self.changed.wait_timeout_while(self.lock(), PAUSE, |state| !state.closing);
        }
        let mut state = self.lock();
        state.over = true;
        state.waiting = Vec::new();
        drop(state);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A reader that takes a piece only when it is told to, and shows what it got.
    struct Slow {
        may: Receiver<()>,
        got: Sender<String>,
    }

    impl Write for Slow {
        fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
            if octets.is_empty() {
                return Ok(0);
            }
            self.may.recv().map_err(|_| std::io::ErrorKind::BrokenPipe)?;
            let _ = self.got.send(String::from_utf8_lossy(octets).into_owned());
            Ok(octets.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn slow() -> (Lines, Sender<()>, Receiver<String>) {
        let ((allow, may), (got, read)) = (channel(), channel());
        (Lines::to(Slow { may, got }, |count| format!("{count} left out\n")), allow, read)
    }

    /// A reader that stands still holds nobody up, and learns how much it has missed. proves: CLI-13
    #[test]
    fn a_reader_that_stands_still_holds_nobody_up() {
        let (lines, allow, read) = slow();
        let line = format!("{}\n", "x".repeat(1_023));
        let fit = WAITING_OCTETS_MAX / line.len();
        // More than fits beside what the writer may have taken: all of this returns.
        for _ in 0..3 * fit {
            lines.push(&line);
        }
        // Each line is read, or counted among those that were left out.
        let (mut seen, mut left_out) = (0, 0);
        while seen + left_out < 3 * fit {
            allow.send(()).unwrap();
            let text = read.recv().unwrap();
            seen += text.lines().filter(|text| text.len() == 1_023).count();
            let said = text.lines().filter_map(|text| text.strip_suffix(" left out")?.parse::<usize>().ok());
            left_out += said.sum::<usize>();
        }
        assert_eq!(seen + left_out, 3 * fit);
        assert!(left_out > 0);
        // Afterwards it goes on as if nothing had been.
        lines.push("after\n");
        allow.send(()).unwrap();
        assert_eq!(read.recv().unwrap(), "after\n");
    }

    /// What was said before the end is written before the end.
    #[test]
    fn the_last_lines_are_written() {
        let (lines, allow, read) = slow();
        (0..3).for_each(|_| allow.send(()).unwrap());
        lines.push("one\n");
        lines.push("two\n");
        lines.finish();
        drop(lines);
        // It ends with who writes.
        assert_eq!(read.iter().collect::<String>(), "one\ntwo\n");
    }

    /// Where nobody reads any more, the node goes on.
    #[test]
    fn a_reader_that_has_gone_is_forgotten() {
        let (lines, allow, _read) = slow();
        drop(allow);
        lines.push("one\n");
        lines.finish();
        lines.push("two\n");
        assert!(lines.shared.lock().waiting.is_empty());
    }
}
