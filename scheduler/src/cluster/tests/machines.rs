//! What fits where, and machines that are closed.

use protocol::{Cordon, Gpu, NodeView, Target};
use spec::Bytes;

use super::*;
use crate::cluster::Quarantine;

const GIB: u64 = 1 << 30;

fn gpu(index: u32) -> Gpu {
    Gpu { index, memory: Bytes(16 * GIB), name: "gpu".to_owned() }
}

fn on(node: &str, name: &str) -> Registration {
    Registration {
        node: Some(node.parse().unwrap()),
        gpus: vec![gpu(0), gpu(1)],
        memory: Some(Bytes(32 * GIB)),
        ..Registration::of(worker(name), 2)
    }
}

fn node(name: &str) -> Target {
    Target::Node(name.parse().unwrap())
}

fn view(cluster: &TestCluster, node: &str) -> NodeView {
    let now = Timestamp::default().plus_seconds(cluster.now);
    cluster.cluster.nodes(now).into_iter().find(|view| view.node.as_str() == node).unwrap()
}

fn refused(cluster: &mut TestCluster, name: &str, policy: Policy) -> String {
    let submission = cluster.submission(name, "1 1", policy);
    match cluster.on(Input::Submit(submission)) {
        Err(Refusal::Infeasible(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn gpus_of_a_machine_are_given_once_and_by_index() {
    let whole = Policy { gpus: 1, ..policy() };
    let mut cluster = TestCluster::new().submit("s", "9 9", whole);
    for name in ["a", "b", "c"] {
        cluster.hire(on("box", name));
    }
    assert_eq!(cluster.granted[&worker("a")].gpus, [0]);
    assert_eq!(cluster.granted[&worker("b")].gpus, [1]);
    assert_eq!(cluster.at("c"), None, "both GPUs are held");
    let gpus = view(&cluster, "box").gpus;
    assert_eq!(gpus.iter().map(|gpu| gpu.held).collect::<Vec<_>>(), [Bytes(16 * GIB); 2]);
    cluster.succeed("a");
    assert_eq!([cluster.at("a"), cluster.at("c")].iter().flatten().count(), 1);
}

#[test]
fn shares_of_a_gpu_are_packed_and_whole_ones_stay_whole() {
    let share = |gib: u64| Policy { gpus: 1, gpu_memory: Some(Bytes(gib * GIB)), ..policy() };
    let mut cluster = TestCluster::new().submit("s", "9 9", share(6));
    for name in ["a", "b", "c", "d", "e"] {
        cluster.hire(on("box", name));
    }
    let gpus = ["a", "b", "c", "d"].map(|name| cluster.granted[&worker(name)].gpus.clone());
    assert_eq!(gpus, [[0], [0], [1], [1]], "two of 6 GiB fit on 16, the third does not");
    assert_eq!(cluster.at("e"), None);
    assert_eq!(view(&cluster, "box").gpus[0].held, Bytes(12 * GIB));
}

#[test]
fn memory_of_a_machine_is_shared_by_its_workers() {
    let mut cluster = TestCluster::new().submit("s", "9 9", Policy { memory: Some(Bytes(12 * GIB)), ..policy() });
    for name in ["a", "b", "c"] {
        cluster.hire(on("box", name));
    }
    assert_eq!([cluster.at("a").is_some(), cluster.at("b").is_some(), cluster.at("c").is_some()], [true, true, false]);
    assert_eq!(view(&cluster, "box").memory_held, Bytes(24 * GIB));
    // Holdings survive the scheduler: they are in the journal.
    cluster.restart(Recovery::Readopt);
    cluster.hire(on("box", "d"));
    assert_eq!(cluster.at("d"), None);
    cluster.succeed_after_restart("a");
    assert!(cluster.at("d").is_some());
}

#[test]
fn other_resources_are_their_workers_own_and_the_smallest_worker_that_fits_is_taken() {
    let licensed = Policy { custom: [("licence".parse().unwrap(), 1)].into(), ..policy() };
    let mut cluster = TestCluster::new();
    let custom = [("licence".parse().unwrap(), 1)].into();
    cluster.hire(Registration { custom, ..Registration::of(worker("z"), 8) });
    cluster.join("big", 16);
    cluster.join("small", 1);
    cluster = cluster.submit("s", "1 1", licensed).submit("t", "1 1", policy());
    assert_eq!(cluster.at("z").as_deref(), Some("s.0"));
    assert_eq!(cluster.at("small").as_deref(), Some("t.0"));
}

#[test]
fn what_no_worker_could_hold_is_refused_with_what_would_fit() {
    let mut cluster = TestCluster::new();
    cluster.hire(on("box", "a"));
    let policy = Policy { cpus: 8, gpus: 4, memory: Some(Bytes(64 * GIB)), ..policy() };
    expect!["a trial of s needs 8 CPU cores, 4 GPUs, 64GiB memory, which no worker could hold: 8 CPU cores of at most 2, 4 GPUs of at most 2, 64GiB memory of at most 32GiB; ask for less, or start a larger worker"]
        .assert_eq(&refused(&mut cluster, "s", policy));
    cluster.join("cpus", 8);
    let both = Policy { cpus: 8, gpus: 1, ..super::policy() };
    expect!["a trial of s needs 8 CPU cores, 1 GPUs, which no worker could hold: each of it is there, but on no worker all of it; ask for less, or start a larger worker"]
        .assert_eq(&refused(&mut cluster, "s", both));
    assert!(cluster.cluster.ledger().list().is_empty(), "a refused experiment leaves no trace");
}

#[test]
fn an_ask_is_accepted_while_nothing_is_known_and_judged_by_the_engine_where_there_is_one() {
    let large = || Policy { cpus: 99, ..policy() };
    let cluster = TestCluster::new().submit("s", "1 1", large());
    expect!["s.0 waits because no worker is connected: start one with `tradewind worker`."]
        .assert_eq(&cluster.explain("s.0"));
    let largest = Some(protocol::Offer { cpus: 4, ..protocol::Offer::default() });
    let mut cluster = TestCluster::with(Options { largest, ..Options::default() });
    assert!(refused(&mut cluster, "s", large()).contains("99 CPU cores of at most 4"));
}

#[test]
fn a_cordon_lets_nothing_start_and_draining_hands_back_what_runs() {
    let mut cluster = TestCluster::new().submit("s", "3 3", policy());
    cluster.hire(on("one", "a"));
    cluster.hire(on("two", "b"));
    cluster.on(Input::Cordon(node("one"), Cordon::Finish)).unwrap();
    assert_eq!(cluster.live(1, &["a", "b"]), [Directive::Continue; 2]);
    cluster.succeed("a");
    assert_eq!(cluster.at("a"), None);
    assert_eq!(view(&cluster, "one").cordon, Some(Cordon::Finish));
    cluster.on(Input::Cordon(Target::Worker(worker("b")), Cordon::Drain)).unwrap();
    expect!["s.2 waits because node one is cordoned and worker b is cordoned."].assert_eq(&cluster.explain("s.2"));
    assert_eq!(cluster.live(1, &["b"]), [Directive::Stop(StopCause::Draining)]);
    cluster.release("b", 5);
    assert_eq!(cluster.at("b"), None);
    // It lasts: an operator's word is not forgotten with the scheduler.
    cluster.restart(Recovery::Requeue);
    cluster.hire(on("one", "c"));
    assert_eq!(cluster.at("c"), None);
    cluster.on(Input::Uncordon(node("one"))).unwrap();
    assert_eq!(cluster.at("c").as_deref(), Some("s.2"));
    let unknown = cluster.on(Input::Cordon(node("three"), Cordon::Finish)).unwrap_err();
    assert!(unknown.to_string().starts_with("node three is not connected"), "{unknown}");
}

#[test]
fn a_drain_reaches_an_attempt_after_a_restart_before_its_worker_registers_again() {
    let mut cluster = TestCluster::new().submit("s", "4 4", policy());
    for (machine, name) in [("one", "a"), ("two", "b"), ("three", "c"), ("four", "d")] {
        cluster.hire(on(machine, name));
    }
    let drain = |target| Input::Cordon(target, Cordon::Drain);
    cluster.on(drain(node("one"))).unwrap();
    cluster.on(drain(Target::Worker(worker("b")))).unwrap();
    cluster.restart(Recovery::Readopt);
    // Two more are drained only now: nobody has registered, but the journal knows who is at work and where.
    cluster.on(drain(node("three"))).unwrap();
    cluster.on(drain(Target::Worker(worker("d")))).unwrap();
    assert!(matches!(cluster.on(drain(node("five"))), Err(Refusal::NotFound(_))));
    assert_eq!(cluster.live(1, &["a", "b", "c", "d"]), [Directive::Stop(StopCause::Draining); 4]);
}

fn strict() -> Options {
    let quarantine = Quarantine { failures: 3, first: Span::from_secs(30), ..Quarantine::default() };
    Options { quarantine, ..Options::default() }
}

fn fail_fast(cluster: &mut TestCluster, name: &str, times: u32) {
    for _ in 0..times {
        cluster.fail(name, FailureClass::Bug);
    }
}

#[test]
fn a_machine_where_trials_fail_at_once_is_left_alone_for_ever_longer_until_one_succeeds() {
    let mut cluster = TestCluster::with(strict()).submit("s", "90 90", Policy { parallel: Some(1), ..policy() });
    cluster.hire(on("sick", "a"));
    cluster.on(Input::Register(on("well", "b"))).unwrap();
    fail_fast(&mut cluster, "a", 3);
    assert_eq!(cluster.at("a"), None);
    assert!(view(&cluster, "sick").quarantined_until.is_some());
    cluster.on(Input::Lease(worker("b"))).unwrap();
    assert_eq!(cluster.at("b").as_deref(), Some("s.3"), "others go on");
    cluster.live(29, &["b"]);
    cluster.on(Input::Cordon(node("well"), Cordon::Finish)).unwrap();
    cluster.succeed("b");
    assert!(cluster.explain("s.4").contains("node sick is in quarantine until 1970-01-01T00:00:30Z"));
    cluster.advance(1.0);
    assert!(cluster.at("a").is_some());
    fail_fast(&mut cluster, "a", 3);
    assert_eq!(view(&cluster, "sick").quarantined_until, Some(Timestamp::default().plus_seconds(90.0)), "doubled");
    cluster.advance(60.0);
    cluster.succeed("a");
    fail_fast(&mut cluster, "a", 2);
    assert_eq!(view(&cluster, "sick").quick_failures, 2);
    fail_fast(&mut cluster, "a", 1);
    assert_eq!(view(&cluster, "sick").quarantined_until, Some(Timestamp::default().plus_seconds(120.0)), "30s again");
}

#[test]
fn slow_failures_one_trials_own_lost_workers_and_the_last_machine_are_no_reason() {
    let patient = Policy { retry: RetrySpec { attempts: 50, backoff: Span::from_millis(1) }, ..policy() };
    let mut cluster = TestCluster::with(strict()).submit("s", "1 1", patient).worker("a", 1).worker("b", 1);
    for _ in 0..6 {
        cluster.fail("a", FailureClass::Bug);
        cluster.advance(1.0);
        if cluster.at("a").is_none() {
            break;
        }
    }
    assert_eq!(view(&cluster, "a").quarantined_until, None, "one trial alone blames itself");
    let long = Policy { cpus: 2, timeout: Span::from_secs(5_000), ..policy() };
    let mut cluster = TestCluster::with(strict()).submit("long", "1 1", long);
    cluster.join("b", 2);
    cluster = cluster.submit("s", "90 90", policy());
    cluster.join("a", 1);
    for _ in 0..6 {
        cluster.live(31, &["a", "b"]);
        cluster.fail("a", FailureClass::Bug);
    }
    assert_eq!(view(&cluster, "a").quarantined_until, None, "they ran a while");
    cluster.on(Input::WorkerGone(worker("b"))).unwrap();
    fail_fast(&mut cluster, "a", 6);
    assert_eq!(view(&cluster, "a").quarantined_until, None, "nobody else is there to try");
}
