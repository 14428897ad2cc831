//! A scheduler that is spoken to by TLS: members join, are held to their roles, and go; strangers disturb nobody.

use std::net::SocketAddr;

use protocol::{Credentials, End, Ending, Identity, Invitation, MemberState, Role, Rpc, join};
use scheduler::Transport;
use serde_json::Value;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::*;

const HOUR: Span = Span::from_secs(3_600);

#[derive(Clone, PartialEq, prost::Message)]
struct Nothing {}

async fn open(home: &Path) -> (Handle, Client) {
    open_at(home, "127.0.0.1:0").await
}

async fn open_at(home: &Path, listen: &str) -> (Handle, Client) {
    let listen: SocketAddr = listen.parse().unwrap();
    let config = Config { listen, transport: Transport::Tls, grace: Span::from_millis(1), ..Config::new(home) };
    let handle = scheduler::start(config, sweeps(), None).await.unwrap();
    let client = handle.client().await.unwrap();
    (handle, client)
}

async fn invite(home: &Client, name: &str, role: Role) -> Invitation {
    home.invite(&name.parse().unwrap(), role, HOUR).await.unwrap().1
}

async fn member(home: &Client, name: &str, role: Role) -> Identity {
    join(&invite(home, name, role).await, Span::from_secs(5)).await.unwrap()
}

async fn connect(handle: &Handle, credentials: impl Into<Credentials>) -> Client {
    Client::connect(handle.url(), credentials, Span::from_secs(5)).await.unwrap()
}

/// An identity as its file tells it.
fn told(identity: &Identity) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("identity.json");
    identity.write(&path).unwrap();
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A channel of our own making: trusts `authority`, shows the certificate and key of `shown`.
async fn channel(handle: &Handle, authority: &Value, shown: Option<&Value>) -> Channel {
    let text = |value: &Value, field: &str| value[field].as_str().unwrap().to_owned();
    let mut tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(text(authority, "authority")))
        .domain_name("scheduler.tradewind.internal");
    if let Some(shown) = shown {
        tls = tls.identity(tonic::transport::Identity::from_pem(text(shown, "certificate"), text(shown, "key")));
    }
    Endpoint::from_shared(handle.url().to_owned()).unwrap().tls_config(tls).unwrap().connect_lazy()
}

async fn ask(channel: &Channel, rpc: Rpc) -> Result<(), Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let path: PathAndQuery = format!("/tradewind.v1.Scheduler/{}", rpc.name()).parse().unwrap();
    let codec = ProstCodec::<Nothing, Nothing>::default();
    if rpc == Rpc::Watch {
        client.server_streaming(Request::new(Nothing {}), path, codec).await.map(drop)
    } else {
        client.unary(Request::new(Nothing {}), path, codec).await.map(drop)
    }
}

fn counted(handle: &Handle, kind: &str) -> u64 {
    handle.refusals().counts().get(kind).copied().unwrap_or_default()
}

fn refused<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> Refusal {
    match answer {
        Err(ClientError::Refused(refusal)) => refusal,
        other => panic!("it was not refused: {other:?}"),
    }
}

#[tokio::test]
async fn every_call_is_for_the_roles_of_its_row_and_for_no_other() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = open(home.path()).await;
    // What stops the scheduler is asked last.
    let calls = || Rpc::ALL.iter().copied().filter(|rpc| *rpc != Rpc::Shutdown).chain([Rpc::Shutdown]);
    let mut denied = 0;
    for role in [Role::Worker, Role::Read, Role::Submit, Role::Admin] {
        let identity = told(&member(&client, role.as_str(), role).await);
        let channel = channel(&handle, &identity, Some(&identity)).await;
        for rpc in calls() {
            let code = ask(&channel, rpc).await.err().map(|status| status.code());
            if role.may(rpc) {
                // What nobody said anything in is malformed, which is further than the gate.
                assert!(matches!(code, None | Some(Code::InvalidArgument)), "{role} {rpc:?}: {code:?}");
            } else {
                assert_eq!(code, Some(Code::PermissionDenied), "{role} {rpc:?}");
                denied += 1;
            }
        }
    }
    assert_eq!(counted(&handle, "forbidden"), denied);
    let stranger = told(&Identity::read(&scheduler::identity_path(home.path())).unwrap());
    let mut handle = handle;
    handle.wait().await.unwrap();
    // The home's own certificate was good for everything above; without one, nothing is.
    let (handle, _) = open(home.path()).await;
    let channel = channel(&handle, &stranger, None).await;
    for rpc in calls() {
        assert_eq!(ask(&channel, rpc).await.unwrap_err().code(), Code::Unauthenticated, "{rpc:?}");
    }
    assert_eq!(counted(&handle, "stranger"), Rpc::ALL.len() as u64);
    handle.stop().await.unwrap();
}

#[tokio::test]
async fn a_member_works_until_it_is_revoked_and_then_its_very_next_call_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = open(home.path()).await;
    let box_1 = connect(&handle, member(&client, "box-1", Role::Worker).await).await;
    let reader = connect(&handle, member(&client, "eve", Role::Read).await).await;
    client.submit(submission("2")).await.unwrap();
    let mut updates = reader.watch(None).await.unwrap();
    updates.next().await.unwrap().unwrap();
    let worker = register(&box_1, "box-1-a").await;
    let assignment = box_1.lease(&worker).await.unwrap().unwrap();
    assert_eq!(box_1.heartbeat(&worker, assignment.attempt, None).await.unwrap(), Directive::Continue);

    client.revoke(&"eve".parse().unwrap()).await.unwrap();
    client.revoke(&"box-1".parse().unwrap()).await.unwrap();
    assert_eq!(refused(box_1.heartbeat(&worker, assignment.attempt, None).await), Refusal::Revoked);
    assert_eq!(refused(reader.list().await), Refusal::Revoked);
    assert_eq!(counted(&handle, "revoked"), 2);
    // What was on its way may still come; then the stream ends instead of going on.
    client.cancel(&submission("2").experiment).await.unwrap();
    let rest = async { while updates.next().await.unwrap().is_some() {} };
    tokio::time::timeout(std::time::Duration::from_secs(10), rest).await.expect("the stream of a revoked reader ends");
    let states: Vec<_> = client.members().await.unwrap().into_iter().map(|view| view.state).collect();
    assert_eq!(states, [MemberState::Revoked, MemberState::Revoked]);
    handle.stop().await.unwrap();
}

#[tokio::test]
async fn what_strangers_and_liars_bring_is_refused_counted_and_disturbs_nobody() {
    let (home, other_home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (handle, client) = open(home.path()).await;
    let (other, other_client) = open(other_home.path()).await;
    client.submit(submission("2")).await.unwrap();
    let honest = connect(&handle, member(&client, "box-1", Role::Worker).await).await;
    let worker = register(&honest, "box-1-a").await;
    let assignment = honest.lease(&worker).await.unwrap().unwrap();

    // An invitation is for one machine, and a forged one for none.
    let invitation = invite(&client, "box-2", Role::Worker).await;
    let second = join(&invitation, Span::default()).await.unwrap();
    assert_eq!(refused(join(&invitation, Span::default()).await), Refusal::Spent);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forged.join");
    invitation.write(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let mut forged: Value = serde_json::from_str(&text).unwrap();
    forged["token"] = "07".repeat(32).into();
    std::fs::write(&path, forged.to_string()).unwrap();
    assert_eq!(refused(join(&Invitation::read(&path).unwrap(), Span::default()).await), Refusal::Unauthenticated);

    // A member of another scheduler: neither side trusts the other.
    let foreign = member(&other_client, "box-1", Role::Admin).await;
    let error = Client::connect(handle.url(), foreign.clone(), Span::from_secs(5)).await.err().unwrap();
    assert!(
        matches!(&error, ClientError::Untrusted { why, .. } if why.contains("invalid peer certificate")),
        "{error}"
    );
    let channel = channel(&handle, &told(&second), Some(&told(&foreign))).await;
    let mut raw = tonic::client::Grpc::new(channel);
    let path: PathAndQuery = "/tradewind.v1.Scheduler/List".parse().unwrap();
    let codec = ProstCodec::<Nothing, Nothing>::default();
    if let Ok(()) = raw.ready().await {
        assert!(raw.unary(Request::new(Nothing {}), path, codec).await.is_err());
    }
    // Plain text at a port of TLS.
    let plain = handle.url().replace("https", "http");
    let token = Token::read(&scheduler::token_path(home.path())).unwrap();
    match Client::connect(&plain, &token, Span::from_millis(200)).await {
        Ok(client) => assert!(client.list().await.is_err()),
        Err(error) => assert!(error.is_transient(), "{error}"),
    }
    // A worker that speaks for another's attempt.
    let liar = connect(&handle, second).await;
    let lie = refused(liar.finish(&worker, assignment.attempt, Report::Succeeded(b"forged".to_vec())).await);
    assert_eq!(
        lie.to_string(),
        "box-2 does not speak for worker box-1-a: ids of its workers are box-2 or begin with box-2-"
    );
    assert!(matches!(refused(liar.register(registration("box-1-b")).await), Refusal::Forbidden(_)));

    for (kind, least) in [
        ("spent", 1),
        ("unauthenticated", 1),
        ("certificate", 1),
        ("plain_text", 1),
        ("forbidden", 2),
        ("handshake", 1),
    ] {
        let enough = async {
            while counted(&handle, kind) < least {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        // What ends a connection is counted a moment after its peer hears of it.
        let counted = tokio::time::timeout(std::time::Duration::from_secs(10), enough).await;
        assert!(counted.is_ok(), "{kind}: {:?}", handle.refusals().counts());
    }
    assert_eq!(honest.heartbeat(&worker, assignment.attempt, None).await.unwrap(), Directive::Continue);
    honest.finish(&worker, assignment.attempt, Report::Succeeded(Vec::new())).await.unwrap();
    assert_eq!(client.show(&submission("2").experiment).await.unwrap().trials[0].outcome.as_deref(), Some(&[][..]));
    handle.stop().await.unwrap();
    other.stop().await.unwrap();
}

#[tokio::test]
async fn who_submits_owns_what_it_submits_and_cancels_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = open(home.path()).await;
    let alice = connect(&handle, member(&client, "alice", Role::Submit).await).await;
    let bob = connect(&handle, member(&client, "bob", Role::Submit).await).await;
    let view = alice.submit(submission("2")).await.unwrap();
    assert_eq!(view.policy.owner, Some("alice".parse().unwrap()));
    assert_eq!(
        alice.submit(submission("2")).await.unwrap().policy.owner,
        view.policy.owner,
        "repeating it is harmless"
    );
    let policy = Policy { owner: Some("alice".parse().unwrap()), ..Policy::default() };
    let false_flag = Submission { experiment: "other".parse().unwrap(), policy, ..submission("2") };
    assert_eq!(
        refused(bob.submit(false_flag).await).to_string(),
        "bob submits for itself: owner alice is someone else"
    );
    assert_eq!(
        refused(bob.cancel(&view.experiment).await).to_string(),
        "experiment pairs is not bob's: ask an administrator"
    );
    assert!(matches!(refused(bob.cancel(&"nothing".parse().unwrap()).await), Refusal::NotFound(_)));
    assert_eq!(client.list().await.unwrap()[0].state, ExperimentState::Queued);
    assert_eq!(alice.cancel(&view.experiment).await.unwrap().state, ExperimentState::Cancelled);
    handle.stop().await.unwrap();
}

#[tokio::test]
async fn what_ran_elsewhere_is_its_submitters_too_and_an_administrator_ends_what_is_anybodys() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = open(home.path()).await;
    let alice = connect(&handle, member(&client, "alice", Role::Submit).await).await;
    let bob = connect(&handle, member(&client, "bob", Role::Submit).await).await;
    let ending = Ending {
        payload: b"work".to_vec(),
        rungs: Vec::new(),
        arrivals: Vec::new(),
        told: Vec::new(),
        end: End::Succeeded(Vec::new()),
    };
    let trials = vec![ending.clone(), ending];
    let policy = Policy { owner: Some("alice".parse().unwrap()), ..Policy::default() };
    let false_flag = Submission { policy, ..submission("2") };
    assert_eq!(
        refused(bob.record(false_flag, trials.clone()).await).to_string(),
        "bob submits for itself: owner alice is someone else"
    );
    assert!(client.list().await.unwrap().is_empty(), "what was refused left no trace");
    let recorded = bob.record(submission("2"), trials).await.unwrap();
    assert_eq!((recorded.policy.owner, recorded.state), (Some("bob".parse().unwrap()), ExperimentState::Succeeded));
    let open = Submission { experiment: "open".parse().unwrap(), ..submission("2") };
    let view = alice.submit(open).await.unwrap();
    let ruler = connect(&handle, member(&client, "root", Role::Admin).await).await;
    assert_eq!(ruler.cancel(&view.experiment).await.unwrap().state, ExperimentState::Cancelled);
    handle.stop().await.unwrap();
}

#[tokio::test]
async fn no_word_for_another_members_worker_is_heard() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = open(home.path()).await;
    client.submit(submission("2")).await.unwrap();
    let honest = connect(&handle, member(&client, "box-1", Role::Worker).await).await;
    let worker = register(&honest, "box-1-a").await;
    let attempt = honest.lease(&worker).await.unwrap().unwrap().attempt;
    let liar = connect(&handle, member(&client, "box-2", Role::Worker).await).await;
    let checkpoint = spec::CheckpointRef { digest: spec::Digest::of(b"forged"), step: 7 };
    let report = Report::Succeeded(b"forged".to_vec());
    let words = [
        ("register", refused(liar.register(registration("box-1-a")).await)),
        ("lease", refused(liar.lease(&worker).await)),
        ("heartbeat", refused(liar.heartbeat(&worker, attempt, None).await)),
        ("checkpoint", refused(liar.checkpoint(&worker, attempt, checkpoint).await)),
        ("finish", refused(liar.finish(&worker, attempt, report.clone()).await)),
        ("exchange", refused(liar.exchange(&worker, attempt, report).await)),
    ];
    for (call, refusal) in &words {
        assert!(matches!(refusal, Refusal::Forbidden(_)), "{call}: {refusal}");
    }
    assert_eq!(counted(&handle, "forbidden"), words.len() as u64);
    assert_eq!(honest.heartbeat(&worker, attempt, None).await.unwrap(), Directive::Continue);
    let trial = client.show(&submission("2").experiment).await.unwrap().trials.remove(0);
    assert!(matches!(&trial.status, TrialState::Running { worker: at, .. } if *at == worker), "{:?}", trial.status);
    handle.stop().await.unwrap();
}

#[tokio::test]
async fn who_is_revoked_while_it_waits_for_an_attempt_gets_none() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = open(home.path()).await;
    let box_1 = connect(&handle, member(&client, "box-1", Role::Worker).await).await;
    let worker = register(&box_1, "box-1-a").await;
    let first = submission("1").experiment;
    client.submit(submission("1")).await.unwrap();
    let attempt = box_1.lease(&worker).await.unwrap().unwrap().attempt;
    let mut updates = client.watch(Some(&first)).await.unwrap();
    // An end and the wait for what follows come in one call: once the end is told, the call waits.
    let waiting = tokio::spawn(async move { box_1.exchange(&worker, attempt, Report::Succeeded(Vec::new())).await });
    while !matches!(updates.next().await.unwrap().unwrap(), Update::Experiment(view) if view.state.is_final()) {}
    client.revoke(&"box-1".parse().unwrap()).await.unwrap();
    let second = Submission { experiment: "second".parse().unwrap(), ..submission("1") };
    client.submit(second.clone()).await.unwrap();
    assert_eq!(refused(waiting.await.unwrap()), Refusal::Revoked);
    // It was not turned away at the gate: an attempt was on its way to it, and runs out with its lease.
    let trial = client.show(&second.experiment).await.unwrap().trials.remove(0);
    assert!(matches!(&trial.status, TrialState::Leased { worker, .. } if worker.as_str() == "box-1-a"), "{trial:?}");
    handle.stop().await.unwrap();
}

#[tokio::test]
async fn who_is_revoked_at_work_hands_no_end_in_over_a_stream_that_was_open() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = open(home.path()).await;
    let box_1 = connect(&handle, member(&client, "box-1", Role::Worker).await).await;
    let worker = register(&box_1, "box-1-a").await;
    client.submit(submission("2")).await.unwrap();
    let first = box_1.lease(&worker).await.unwrap().unwrap();
    let second = box_1.exchange(&worker, first.attempt, Report::Succeeded(Vec::new())).await.unwrap().unwrap();
    client.revoke(&"box-1".parse().unwrap()).await.unwrap();
    let end = box_1.exchange(&worker, second.attempt, Report::Succeeded(Vec::new())).await;
    assert_eq!(refused(end), Refusal::Revoked);
    assert_eq!(counted(&handle, "revoked"), 1);
    let trial = client.show(&submission("2").experiment).await.unwrap().trials.remove(1);
    assert!(matches!(&trial.status, TrialState::Leased { .. }), "{trial:?}");
    handle.stop().await.unwrap();
}

#[tokio::test]
async fn a_membership_that_the_disk_refuses_is_none() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = open(home.path()).await;
    let name = "box-1".parse().unwrap();
    // Where the next version of the file is written first, nothing can be.
    let in_the_way = home.path().join("keys/members.partial");
    std::fs::create_dir(&in_the_way).unwrap();
    let refusal = refused(client.invite(&name, Role::Worker, HOUR).await);
    assert!(refusal.to_string().starts_with("members cannot be written to "), "{refusal}");
    assert!(client.members().await.unwrap().is_empty(), "nobody would know of it after a restart");
    std::fs::remove_dir(&in_the_way).unwrap();
    client.invite(&name, Role::Worker, HOUR).await.unwrap();
    handle.stop().await.unwrap();
}

#[tokio::test]
async fn members_outlive_the_scheduler_that_took_them_in_but_not_their_time() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = open(home.path()).await;
    let identity = member(&client, "box-1", Role::Read).await;
    let late = invite(&client, "late", Role::Read).await;
    let listen = handle.url().strip_prefix("https://").unwrap().to_owned();
    handle.stop().await.unwrap();

    let (handle, _) = open_at(home.path(), &listen).await;
    assert!(connect(&handle, identity.clone()).await.list().await.unwrap().is_empty());
    handle.stop().await.unwrap();

    // An hour goes by.
    let path = home.path().join("keys/members.json");
    let mut roll: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    for name in ["box-1", "late"] {
        roll[name]["expires"] = roll[name]["granted"].clone();
    }
    std::fs::write(&path, roll.to_string()).unwrap();
    let (handle, _) = open_at(home.path(), &listen).await;
    assert_eq!(refused(connect(&handle, identity).await.list().await), Refusal::Expired);
    assert_eq!(refused(join(&late, Span::default()).await), Refusal::Expired);
    assert_eq!(counted(&handle, "expired"), 2);
    handle.stop().await.unwrap();
}

#[tokio::test]
async fn all_addresses_are_served_by_tls_and_secrets_stay_their_owners() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = open_at(home.path(), "0.0.0.0:0").await;
    assert!(handle.url().starts_with("https://127.0.0.1:"), "{}", handle.url());
    assert_eq!(scheduler::address(home.path()).as_deref(), Some(handle.url()));
    let invitation = invite(&client, "box-1", Role::Worker).await;
    for file in ["authority.key", "members.json", "identity.json", "scheduler.token"] {
        let mode = std::fs::metadata(home.path().join("keys").join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    // A home that joined elsewhere has no scheduler of its own.
    let joined = tempfile::tempdir().unwrap();
    join(&invitation, Span::default()).await.unwrap().write(&scheduler::identity_path(joined.path())).unwrap();
    assert_eq!(scheduler::joined(joined.path()).as_deref(), Some(handle.url()));
    let config = Config { transport: Transport::Tls, ..Config::new(joined.path()) };
    let error = scheduler::start(config, sweeps(), None).await.err().unwrap();
    assert!(error.to_string().starts_with("this home is a member of the scheduler at https://127.0.0.1:"), "{error}");
    // A token never goes across a network in plain text.
    let token = Token::from_random([1; 32]);
    for far in ["http://192.0.2.1:7070", "http://scheduler.example:7070", "http://[2001:db8::1]:7070"] {
        let error = Client::connect(far, &token, Span::from_secs(5)).await.err().unwrap();
        assert!(matches!(error, ClientError::PlainText { .. }), "{far}: {error}");
    }
    handle.stop().await.unwrap();
}

#[tokio::test]
async fn a_scheduler_in_plain_text_has_no_members() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = begin(home.path()).await;
    let refusal = refused(client.invite(&"box-1".parse().unwrap(), Role::Worker, HOUR).await);
    assert_eq!(refusal.to_string(), "this scheduler serves its own machine and has no members: start it with --tls");
    handle.stop().await.unwrap();
}
