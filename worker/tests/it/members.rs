//! Workers that are members of a scheduler that speaks TLS.

use protocol::{ClientError, Refusal, Role, join};
use scheduler::Transport;

use super::*;

#[allow(clippy::async_yields_async, reason = "who hires need not wait for the end of the work")]
#[tokio::test]
async fn a_member_works_over_tls_and_one_that_is_revoked_stops_at_once_while_another_takes_over() {
    let home = tempfile::tempdir().unwrap();
    let config = Config { transport: Transport::Tls, ..config(home.path()) };
    let handle = scheduler::start(config, sweeps(), None).await.unwrap();
    let client = handle.client().await.unwrap();
    let hire = async |name: &str| {
        let (_, invitation) = client.invite(&name.parse().unwrap(), Role::Worker, Span::from_secs(60)).await.unwrap();
        let identity = join(&invitation, Span::default()).await.unwrap();
        let options = Options {
            stop_grace: Span::from_millis(300),
            ..Options::new(handle.url(), identity, format!("{name}-1").parse().unwrap())
        };
        tokio::spawn(worker::run(options, Rehearsal, std::future::pending()))
    };
    let mut submission = scripts(&["slow 1500"]);
    submission.policy.timeout = Span::from_secs(60);
    client.submit(submission).await.unwrap();
    let revoked = hire("box-1").await;
    until(&client, |update| matches!(update, Update::Progress { .. })).await;
    client.revoke(&"box-1".parse().unwrap()).await.unwrap();
    let ended_by = tokio::time::timeout(Duration::from_secs(10), revoked).await.expect("it stops at once").unwrap();
    assert!(matches!(ended_by, Err(WorkerError::Client(ClientError::Refused(Refusal::Revoked)))), "{ended_by:?}");
    let honest = hire("box-2").await;
    let detail = ended(&client).await;
    honest.abort();
    assert_eq!(detail.experiment.state, ExperimentState::Succeeded);
    assert_eq!((detail.trials[0].attempts, detail.trials[0].worker_losses), (1, 1), "a worker lost costs no attempt");
    handle.stop().await.unwrap();
}
