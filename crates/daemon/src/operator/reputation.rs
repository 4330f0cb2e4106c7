//! Peers: what is known of them, listed, shown and forgotten.

use control::{
    Failure, FailureKind, LimitView, PeerDetailView, PeerQuestionView, PeerRecordView, Request, Response,
};
use message::Code;
use message::address::Domain;
use node::Counts;
use storage::PeerRecord;

use super::{Answered, LocalOperator, bounded};

/// Thousandths of an event, the unit of the counts.
const ONE: u64 = 1000;

impl LocalOperator {
    pub(super) async fn reputation(&self, request: Request) -> Answered {
        match request {
            Request::PeerRecords { after, limit } => {
                let after = after.as_deref().map(domain).transpose()?;
                let peers = self.node.all_remembered(after.as_ref(), bounded(limit)).await.map_err(failed)?;
                Ok(Response::PeerRecords { peers: peers.iter().map(record_view).collect() })
            }
            Request::PeerRecord { domain: name } => self.peer(&domain(&name)?).await,
            Request::PeerForget { domain: name } => {
                let peer = domain(&name)?;
                match self.node.forget_peer(&peer).await.map_err(failed)? {
                    true => Ok(Response::Done),
                    false => {
                        Err(Failure::new(FailureKind::NotFound, format!("nothing is remembered of {peer}")))
                    }
                }
            }
            _ => Err(Failure::new(FailureKind::Internal, "that is not about peers")),
        }
    }

    async fn peer(&self, peer: &Domain) -> Answered {
        let standing = self.node.standing(peer).await;
        let findings = self.node.findings(peer).await;
        let record = self.node.remembered(peer).map_err(failed)?;
        let limits = self.node.rates_of(peer).into_iter();
        let questions = findings.iter().flat_map(|findings| &findings.asked);
        Ok(Response::PeerRecord(Box::new(PeerDetailView {
            domain: peer.to_string(),
            grade: standing.grade.word().to_owned(),
            reasons: standing.reasons,
            questions: questions
                .map(|asked| PeerQuestionView {
                    question: asked.question.to_owned(),
                    name: asked.name.clone(),
                    answer: asked.answer.clone(),
                    counts: word(asked.counts).to_owned(),
                })
                .collect(),
            until_ms: findings.as_ref().map(|findings| findings.until_ms),
            record: record.as_ref().map(record_view),
            limits: limits
                .map(|used| LimitView { limit: used.limit.to_owned(), used: used.used, of: used.of })
                .collect(),
        })))
    }
}

fn record_view(record: &PeerRecord) -> PeerRecordView {
    let whole = |count: u64| count.saturating_add(ONE / 2) / ONE;
    PeerRecordView {
        domain: record.domain.to_string(),
        first_seen_ms: record.first_seen_ms,
        last_seen_ms: record.last_seen_ms,
        accepted: whole(record.accepted),
        refused: whole(record.refused),
        held: whole(record.held),
        declined: whole(record.declined),
        complaints: whole(record.complaints),
    }
}

fn word(counts: Counts) -> &'static str {
    match counts {
        Counts::Failed => "failed",
        Counts::Nothing => "nothing",
        Counts::Known => "known",
        Counts::For => "for",
        Counts::Against => "against",
    }
}

fn domain(name: &str) -> Result<Domain, Failure> {
    let wrong = |error| Failure::new(FailureKind::Invalid, format!("{name:?} is not a domain: {error}"));
    Domain::parse(name).map_err(wrong)
}

fn failed((_, text): (Code, String)) -> Failure {
    Failure::new(FailureKind::Unavailable, text)
}
