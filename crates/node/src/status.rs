//! Status: what became of what, for those who may know.

use message::Cookie;
use storage::CookieAnswer;

use crate::Node;
use crate::accept::{Failure, trouble};

impl Node {
    /// Answers a holder about its cookies. Unknown, foreign and expired ones cannot be told apart.
    ///
    /// # Errors
    /// A code and a text where the store cannot be read.
    ///
    /// keeps: STA-3, STO-23
    pub async fn poll(&self, holder: &str, cookies: &[Cookie]) -> Result<Vec<CookieAnswer>, Failure> {
        let answers = self.store().poll(holder, cookies, self.now_ms()).map_err(trouble)?;
        if answers.iter().any(|answer| matches!(answer, CookieAnswer::Final(_))) {
            self.store().durable().await.map_err(trouble)?;
        }
        Ok(answers)
    }

    /// The holder has stopped caring: nothing more is sent for it, and the next hops are told by the queue.
    ///
    /// # Errors
    /// A code and a text where the store cannot be written.
    ///
    /// keeps: STA-8
    pub async fn give_up(&self, holder: &str, cookies: &[Cookie]) -> Result<(), Failure> {
        let hops = self.store().give_up(holder, cookies, self.now_ms()).await.map_err(trouble)?;
        self.inner.queue.to_tell(hops);
        Ok(())
    }
}
