//! A policy service, as the node sees it.

use std::sync::{Arc, Mutex};

use message::{Code, Disposition, Selection};
use node::{Later, PolicyService};
use policy::{Action, Condition, Decision, Evidence, Grade, Verdict};

use super::scene::{Scene, domain};

/// Says one thing to everything, and keeps what it was asked.
struct Says {
    verdict: Option<Verdict>,
    asked: Mutex<Vec<(Evidence, Decision)>>,
}

impl PolicyService for Says {
    fn judge<'a>(&'a self, evidence: &'a Evidence, decided: &'a Decision) -> Later<'a, Option<Decision>> {
        self.asked.lock().unwrap().push((evidence.clone(), decided.clone()));
        let decision = |verdict: &Verdict| Decision {
            verdict: verdict.clone(),
            rule: "mine".to_owned(),
            evidence: "because".to_owned(),
        };
        let said = self.verdict.as_ref().map(decision);
        Box::pin(async { said })
    }
}

/// What becomes of a letter to these, and how often the service was asked.
async fn said(verdict: Option<Verdict>, to: &[&str]) -> (Vec<Disposition>, Vec<(Evidence, Decision)>) {
    let scene = Scene::new(|settings| {
        let from = Condition::Peer(vec![domain("never.test")]);
        settings.rules = settings.rules.clone().with("never", vec![from], Action::Refuse);
    })
    .await;
    let service = Arc::new(Says { verdict, asked: Mutex::default() });
    scene.node.consult(service.clone());
    let answers = scene.offer("north.test", "one", to).await;
    let refused = scene.offer("never.test", "one", &["bob@here.test"]).await;
    assert!(matches!(refused[0], Disposition::Refused { .. }), "a refusal is not undone: {refused:?}");
    scene.submit("a user's own", &["ann@far.test"]).await;
    let asked = service.asked.lock().unwrap().clone();
    (answers, asked)
}

/// proves: REP-15, REP-16
#[tokio::test(start_paused = true)]
async fn a_service_decides_after_the_rules() {
    let bob = &["bob@here.test"];
    let (answers, asked) = said(None, bob).await;
    assert_eq!(answers, [Disposition::Accepted]);
    let [(evidence, decided)] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!(
        (evidence.peer.clone(), decided.verdict.clone()),
        (Some(domain("north.test")), Verdict::Accept)
    );
    assert_eq!(evidence.standing.grade, Grade::Unknown);

    let refuse = Verdict::Refuse { code: Code::NOT_AUTHORIZED, text: "no".to_owned() };
    let (answers, _) = said(Some(refuse), bob).await;
    assert_eq!(answers, [Disposition::refused(Code::NOT_AUTHORIZED, "no")]);
    let (answers, _) = said(Some(Verdict::Hold { keep: Selection::Headers }), bob).await;
    assert!(matches!(answers[0], Disposition::Pending { .. }), "{answers:?}");
    let (answers, _) = said(Some(Verdict::Pend { after_seconds: 60 }), bob).await;
    assert!(matches!(answers[0], Disposition::Pending { min_seconds: 60, .. }), "{answers:?}");
    // It wants the same for ever: it gets it once, and then the rules stand.
    let (answers, asked) = said(Some(Verdict::Want(Selection::All)), bob).await;
    assert_eq!((answers.as_slice(), asked.len()), (&[Disposition::Accepted][..], 2));
    // Who is refused by the envelope is not asked about.
    let (_, asked) = said(None, &["bob@here.test", "nobody@here.test"]).await;
    assert_eq!(asked.len(), 1);
}

/// Who explains asks whoever would be asked, and says what it has said.
///
/// proves: POL-14
#[tokio::test(start_paused = true)]
async fn an_explanation_asks_the_service() {
    let explained = async |verdict: Option<Verdict>| {
        let scene = Scene::new(|_| {}).await;
        scene.offer("north.test", "one", &["bob@here.test"]).await;
        let entry = scene.store.mailbox("bob", None, 1).unwrap().remove(0);
        let service = Arc::new(Says { verdict, asked: Mutex::default() });
        scene.node.consult(service.clone());
        let bob = message::address::Address::from_wire("bob@here.test").unwrap();
        let explained = scene.node.explain(entry.identity, &bob, None).await.unwrap();
        assert_eq!(service.asked.lock().unwrap().len(), 1);
        explained.explanation
    };
    let refuse = Verdict::Refuse { code: Code::NOT_AUTHORIZED, text: "no".to_owned() };
    let explanation = explained(Some(refuse.clone())).await;
    assert_eq!((explanation.decision.verdict, explanation.decision.rule), (refuse, "mine".to_owned()));
    let step = explanation.steps.last().unwrap();
    assert_eq!((step.rule.as_str(), step.tried), ("policy-service", policy::Tried::Matched));
    assert_eq!(step.conditions[0].2, "because");
    let explanation = explained(None).await;
    assert_eq!(explanation.decision.verdict, Verdict::Accept);
    let step = explanation.steps.last().unwrap();
    assert_eq!((step.rule.as_str(), step.tried), ("policy-service", policy::Tried::No));
}
