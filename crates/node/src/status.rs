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
    /// keeps: STA-3, STA-18
    pub async fn poll(&self, holder: &str, cookies: &[Cookie]) -> Result<Vec<CookieAnswer>, Failure> {
        let mut answers = self.store().poll(holder, cookies, self.now_ms()).map_err(trouble)?;
        let over = |until: &u64| until.saturating_mul(1000) <= self.now_ms();
        if answers.iter().any(|answer| matches!(answer, CookieAnswer::Pending { until, .. } if over(until))) {
            self.end_overdue().await?;
            answers = self.store().poll(holder, cookies, self.now_ms()).map_err(trouble)?;
        }
        Ok(answers)
    }

    /// Ends what is past its time now, and not only at the next round of upkeep, because somebody asks about it. It is work
    /// that is due at any rate, and there is nothing of it left for who asks again. keeps: STA-18
    pub(crate) async fn end_overdue(&self) -> Result<(), Failure> {
        self.expire_all().await.map_err(trouble)
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
