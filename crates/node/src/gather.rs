//! Polls of one domain go together: while one is under way, the cookies of other legs wait and make the next one.
//!
//! So a domain that has given a thousand cookies is asked in a few frames, however many messages they belong to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use message::address::Domain;
use message::{Code, Cookie};
use tokio::sync::oneshot;

use crate::courier::{Answered, Courier, Trouble};
use crate::limits::POLL_COOKIES_MAX;

type Answer = Result<Vec<Answered>, Trouble>;

/// Cookies of one leg, and who waits for what became of them.
struct Question {
    cookies: Vec<Cookie>,
    asker: oneshot::Sender<Answer>,
}

/// The questions that wait, by domain. A domain that is in it is being asked.
#[derive(Default)]
pub(crate) struct Gathering(Mutex<HashMap<Domain, Vec<Question>>>);

impl Gathering {
    /// Asks a domain about cookies, together with whoever asks the same domain meanwhile.
    pub(crate) async fn inquire(
        self: &Arc<Self>,
        courier: &Arc<dyn Courier>,
        domain: &Domain,
        cookies: &[Cookie],
    ) -> Answer {
        let (asker, answer) = oneshot::channel();
        let question = Question { cookies: cookies.to_vec(), asker };
        let first = {
            let mut waiting = self.lock();
            let line = waiting.get_mut(domain);
            match line {
                Some(line) => {
                    line.push(question);
                    false
                }
                None => {
                    waiting.insert(domain.clone(), vec![question]);
                    true
                }
            }
        };
        if first {
            tokio::spawn(self.clone().ask(courier.clone(), domain.clone()));
        }
        answer.await.unwrap_or_else(|_| {
            Err(Trouble::Temporary(Code::SYSTEM_TROUBLE, "the poll was given up".to_owned()))
        })
    }

    /// Asks until nobody waits.
    async fn ask(self: Arc<Self>, courier: Arc<dyn Courier>, domain: Domain) {
        // Where this task ends early, by a panic too, nobody may wait for it.
        let served = Served { gathering: &self, domain: &domain };
        // Legs that were claimed together come along.
        tokio::task::yield_now().await;
        while let Some(questions) = self.next(&domain) {
            let cookies: Vec<Cookie> =
                questions.iter().flat_map(|question| question.cookies.iter().copied()).collect();
            let mut answers = courier.inquire(&domain, &cookies).await.map(Vec::into_iter);
            for question in questions {
                let own = answers.as_mut().map_err(|trouble| trouble.clone());
                let own = own.map(|answers| answers.by_ref().take(question.cookies.len()).collect());
                // Whoever asked may have gone.
                let _ = question.asker.send(own);
            }
        }
        drop(served);
    }

    /// The questions that fit in one poll, those first that have waited longest; the domain is done where there are none.
    fn next(&self, domain: &Domain) -> Option<Vec<Question>> {
        let mut waiting = self.lock();
        let line = waiting.get_mut(domain)?;
        let mut room = POLL_COOKIES_MAX;
        let fit = line.iter().take_while(|question| {
            let fits = question.cookies.len() <= room;
            room = room.saturating_sub(question.cookies.len());
            fits
        });
        // One that is too large by itself is the courier's to refuse.
        let count = fit.count().max(1).min(line.len());
        if count == 0 {
            waiting.remove(domain);
            return None;
        }
        Some(line.drain(..count).collect())
    }

    /// A panic elsewhere while the lock was held leaves nothing half done that matters here.
    fn lock(&self) -> MutexGuard<'_, HashMap<Domain, Vec<Question>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets go of those who still wait when the task that serves them is gone.
struct Served<'a> {
    gathering: &'a Gathering,
    domain: &'a Domain,
}

impl Drop for Served<'_> {
    fn drop(&mut self) {
        self.gathering.lock().remove(self.domain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::courier::{Consignment, Report};
    use crate::outside::Later;
    use message::Disposition;
    use tokio::sync::Semaphore;

    /// Answers each cookie with a refusal that holds its first octet, when it is let.
    struct Slow {
        polls: Mutex<Vec<usize>>,
        let_go: Semaphore,
        fails: bool,
    }

    impl Courier for Slow {
        fn deliver<'a>(
            &'a self,
            _: &'a Consignment,
            _: &'a (dyn Fn(&str, &str) + Send + Sync),
        ) -> Later<'a, Report> {
            Box::pin(async {
                Report { result: Err(Trouble::Throttled), tried: Vec::new(), passed_on: Vec::new() }
            })
        }

        fn inquire<'a>(&'a self, _: &'a Domain, cookies: &'a [Cookie]) -> Later<'a, Answer> {
            Box::pin(async move {
                self.polls.lock().unwrap().push(cookies.len());
                self.let_go.acquire().await.unwrap().forget();
                if self.fails {
                    return Err(Trouble::Throttled);
                }
                Ok(cookies.iter().map(|cookie| answer(cookie.as_bytes()[0])).collect())
            })
        }

        fn give_up<'a>(&'a self, _: &'a Domain, _: &'a [Cookie]) -> Later<'a, ()> {
            Box::pin(async {})
        }
    }

    fn answer(octet: u8) -> Answered {
        Answered::Final(Disposition::refused(Code::NOT_AUTHORIZED, &octet.to_string()))
    }

    async fn ask_all(fails: bool, cookies: &[usize]) -> (Vec<usize>, Vec<Answer>) {
        let slow = Arc::new(Slow { polls: Mutex::default(), let_go: Semaphore::new(0), fails });
        let courier: Arc<dyn Courier> = slow.clone();
        let (gathering, domain) = (Arc::new(Gathering::default()), Domain::parse("far.test").unwrap());
        let mut askers = tokio::task::JoinSet::new();
        for (number, count) in cookies.iter().copied().enumerate() {
            let (gathering, courier, domain) = (gathering.clone(), courier.clone(), domain.clone());
            askers.spawn(async move {
                let own = vec![Cookie::from_bytes([number as u8; 32]); count];
                (number, gathering.inquire(&courier, &domain, &own).await)
            });
        }
        slow.let_go.add_permits(cookies.len());
        let mut answers = askers.join_all().await;
        answers.sort_by_key(|(number, _)| *number);
        assert!(gathering.lock().is_empty(), "nobody is left");
        let polls = slow.polls.lock().unwrap().clone();
        (polls, answers.into_iter().map(|(_, answer)| answer).collect())
    }

    /// proves: STA-6
    #[tokio::test]
    async fn what_is_asked_of_one_domain_goes_together_and_comes_back_apart() {
        let (polls, answers) = ask_all(false, &[1; 60]).await;
        assert_eq!(polls.iter().sum::<usize>(), 60);
        assert!(polls.len() <= 3, "{polls:?}");
        for (number, found) in answers.into_iter().enumerate() {
            assert_eq!(found, Ok(vec![answer(number as u8)]));
        }
        // No poll is larger than a frame holds.
        let (polls, answers) = ask_all(false, &[400, 400, 400, 900, 100]).await;
        assert!(polls.iter().all(|count| *count <= POLL_COOKIES_MAX), "{polls:?}");
        assert_eq!(
            answers.iter().map(|found| found.as_ref().unwrap().len()).collect::<Vec<_>>(),
            [400, 400, 400, 900, 100]
        );
        let (_, answers) = ask_all(true, &[1, 1, 1]).await;
        assert_eq!(answers, [Err(Trouble::Throttled), Err(Trouble::Throttled), Err(Trouble::Throttled)]);
    }
}
