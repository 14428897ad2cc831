//! What a scheduler hears that it should not: each is refused in words, counted by kind, and disturbs nobody else.

use protocol::{Cordon, Gpu, Target};
use spec::Bytes;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::*;

/// A registration from a build that knows a field more, or speaks another version.
#[derive(Clone, PartialEq, prost::Message)]
struct Register {
    #[prost(string, tag = "1")]
    worker: String,
    #[prost(uint32, tag = "2")]
    cpus: u32,
    #[prost(uint32, tag = "5")]
    protocol: u32,
    #[prost(string, tag = "900")]
    from_the_future: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Submit {
    #[prost(string, tag = "1")]
    experiment: String,
    #[prost(bytes, tag = "3")]
    payload: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Nothing {}

/// Calls `method` with a message of our own making.
async fn call<T: prost::Message + Default + 'static>(handle: &Handle, method: &str, message: T) -> Result<(), Status> {
    let channel = tonic::transport::Endpoint::from_shared(handle.url().to_owned()).unwrap().connect().await.unwrap();
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let mut request = Request::new(message);
    let bearer = format!("Bearer {}", handle.token().expose()).parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    let path: PathAndQuery = format!("/tradewind.v1.Scheduler/{method}").parse().unwrap();
    client.unary(request, path, ProstCodec::<T, Nothing>::default()).await.map(drop)
}

fn counted(handle: &Handle, kind: &str) -> u64 {
    handle.refusals().counts().get(kind).copied().unwrap_or_default()
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_counted_and_disturbs_nobody() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = begin(home.path()).await;
    client.submit(submission("2")).await.unwrap();
    let honest = register(&client, "honest").await;
    let assignment = client.lease(&honest).await.unwrap().unwrap();

    let register = |cpus, protocol| Register {
        worker: "newer".to_owned(),
        cpus,
        protocol,
        from_the_future: "what is this".to_owned(),
    };
    call(&handle, "Register", register(1, protocol::PROTOCOL)).await.unwrap();
    let other_version = call(&handle, "Register", register(1, 7)).await.unwrap_err();
    assert!(other_version.message().contains("the worker speaks version 7 and this scheduler 3"), "{other_version}");
    let absurd = call(&handle, "Register", register(1_000_000, protocol::PROTOCOL)).await.unwrap_err();
    assert!(absurd.message().contains("1000000 is not within 1 to 4096"), "{absurd}");
    let unknown = call(&handle, "Reboot", Nothing {}).await.unwrap_err();
    assert_eq!(unknown.code(), Code::Unimplemented);
    let huge = Submit { experiment: "huge".to_owned(), payload: vec![0; (64 << 20) + 1] };
    let oversized = call(&handle, "Submit", huge).await.unwrap_err();
    assert_eq!(oversized.code(), Code::OutOfRange, "{oversized}");
    let forged = Token::from_random([1; 32]);
    let stranger = Client::connect(handle.url(), &forged, Span::from_secs(5)).await.unwrap();
    assert!(stranger.list().await.is_err());
    for payload in ["many", "0", "2000000"] {
        let refused = Submission { experiment: "other".parse().unwrap(), ..submission(payload) };
        assert!(matches!(client.submit(refused).await, Err(ClientError::Refused(Refusal::Invalid(_)))), "{payload}");
    }
    let infeasible = Submission {
        experiment: "large".parse().unwrap(),
        policy: Policy { cpus: 64, ..Policy::default() },
        ..submission("1")
    };
    let error = client.submit(infeasible).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Refused(Refusal::Infeasible(why)) if why.contains("64 CPU cores of at most 1"))
    );
    // A worker that speaks for another's attempt.
    let liar: WorkerId = "newer".parse().unwrap();
    let heard = client.heartbeat(&liar, assignment.attempt, None).await.unwrap();
    assert_eq!(heard, Directive::Stop(StopCause::Fenced));
    let stolen = client.finish(&liar, assignment.attempt, Report::Succeeded(b"forged".to_vec())).await.unwrap_err();
    assert!(matches!(stolen, ClientError::Refused(Refusal::Fenced)));

    let counts: Vec<_> = handle.refusals().counts().into_iter().collect();
    let expected = [
        ("fenced", 1),
        ("infeasible", 1),
        ("invalid", 3),
        ("malformed", 1),
        ("oversized", 1),
        ("protocol", 1),
        ("unauthenticated", 1),
        ("unknown_call", 1),
    ];
    assert_eq!(counts, expected.map(|(kind, count)| (kind.to_owned(), count)));

    assert_eq!(client.heartbeat(&honest, assignment.attempt, None).await.unwrap(), Directive::Continue);
    client.finish(&honest, assignment.attempt, Report::Succeeded(Vec::new())).await.unwrap();
    let detail = client.show(&submission("2").experiment).await.unwrap();
    assert_eq!(detail.trials[0].outcome.as_deref(), Some(&[][..]));
    assert_eq!(client.list().await.unwrap().len(), 1, "what was refused left no trace");
    handle.stop().await.unwrap();
}

#[tokio::test]
async fn an_operator_sees_closes_and_opens_machines_and_tries_trials_again() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = begin(home.path()).await;
    let worker: WorkerId = "w".parse().unwrap();
    let gpu = Gpu { index: 0, memory: Bytes(16 << 30), name: "some".to_owned() };
    let registration = Registration {
        node: Some("box".parse().unwrap()),
        gpus: vec![gpu],
        memory: Some(Bytes(8 << 30)),
        ..Registration::of(worker.clone(), 2)
    };
    client.register(registration).await.unwrap();
    let policy = Policy { gpus: 1, memory: Some(Bytes(1 << 30)), ..Policy::default() };
    client.submit(Submission { policy, ..submission("2") }).await.unwrap();
    let assignment = client.lease(&worker).await.unwrap().unwrap();
    assert_eq!(assignment.gpus, [0]);
    let node = client.nodes().await.unwrap().remove(0);
    assert_eq!((node.node.as_str(), node.cpus, node.cpus_held, node.memory_held), ("box", 2, 1, Bytes(1 << 30)));
    assert_eq!(node.gpus[0].attempts, [assignment.attempt]);
    assert_eq!(node.workers[0].attempt, Some((assignment.attempt, assignment.trial.clone())));

    let target = Target::Node("box".parse().unwrap());
    client.cordon(target.clone(), Cordon::Drain).await.unwrap();
    let heard = client.heartbeat(&worker, assignment.attempt, None).await.unwrap();
    assert_eq!(heard, Directive::Stop(StopCause::Draining));
    let message = "the disk is full".to_owned();
    let failed = Report::Failed { class: spec::FailureClass::Data, message };
    client.finish(&worker, assignment.attempt, failed).await.unwrap();
    client.uncordon(target).await.unwrap();
    let again = client.requeue(&assignment.trial).await.unwrap();
    assert!(matches!(again.status, TrialState::Queued { .. }));
    let refused = client.requeue(&assignment.trial).await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused(Refusal::Conflict(_))), "{refused}");
    let stranger = client.cordon(Target::Node("nowhere".parse().unwrap()), Cordon::Finish).await.unwrap_err();
    assert!(matches!(stranger, ClientError::Refused(Refusal::NotFound(_))), "{stranger}");
    // Behind the one that waited longer.
    assert_eq!(client.lease(&worker).await.unwrap().unwrap().trial.index, 1);
    assert_eq!(counted(&handle, "conflict"), 1);
    handle.stop().await.unwrap();
}

#[tokio::test]
async fn a_clock_that_was_set_back_does_not_stop_a_restart() {
    use scheduler::journal::{Journal as _, SqliteJournal};
    let home = tempfile::tempdir().unwrap();
    {
        let mut journal = SqliteJournal::open(&home.path().join("journal.db")).unwrap();
        // Written by a machine whose clock ran a century ahead.
        let at = market::Timestamp::from_micros(4_900_000_000_000_000);
        let event = scheduler::event::Event::Submitted(submission("1"));
        journal.append(&[scheduler::event::Record { at, event }]).unwrap();
    }
    let (handle, client) = begin(home.path()).await;
    let worker = register(&client, "w").await;
    let assignment = client.lease(&worker).await.unwrap().unwrap();
    client.finish(&worker, assignment.attempt, Report::Succeeded(Vec::new())).await.unwrap();
    let detail = client.show(&submission("1").experiment).await.unwrap();
    assert_eq!(detail.experiment.state, ExperimentState::Succeeded);
    handle.stop().await.unwrap();
}
