//! Several questions at once.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// A question that is under way.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Waits for all at once and keeps their order; each is polled whenever one of them has news, which is cheap for
/// the few that there are.
pub async fn all<T>(mut pending: Vec<Pending<'_, T>>) -> Vec<T> {
    let mut done: Vec<Option<T>> = pending.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (future, slot) in pending.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let Poll::Ready(outcome) = future.as_mut().poll(context)
            {
                *slot = Some(outcome);
            }
        }
        if done.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}
