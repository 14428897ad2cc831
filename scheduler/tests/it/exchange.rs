//! Ends and assignments over one stream: when it ends, and that nobody notices when it breaks.

use std::time::Duration;

use super::*;

fn end() -> Report {
    Report::Succeeded(Vec::new())
}

fn counted(handle: &Handle, kind: &str) -> u64 {
    handle.refusals().counts().get(kind).copied().unwrap_or_default()
}

#[tokio::test]
async fn an_end_after_a_refused_one_goes_over_another_stream_and_the_refusal_is_counted() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = begin(home.path()).await;
    client.submit(submission("4")).await.unwrap();
    let worker = register(&client, "w").await;
    let first = client.lease(&worker).await.unwrap().unwrap();
    let second = client.exchange(&worker, first.attempt, end()).await.unwrap().unwrap();
    for refused in 1..=2 {
        let late = client.exchange(&worker, first.attempt, end()).await.unwrap_err();
        assert!(matches!(late, ClientError::Refused(Refusal::Fenced)), "{late}");
        assert_eq!(counted(&handle, "fenced"), refused);
    }
    let third = client.exchange(&worker, second.attempt, end()).await.unwrap().unwrap();
    assert_eq!([first, second, third].map(|assignment| assignment.trial.index), [0, 1, 2]);
    handle.stop().await.unwrap();
}

#[tokio::test]
async fn an_end_goes_over_another_stream_where_the_first_broke_unnoticed() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = begin(home.path()).await;
    client.submit(submission("2")).await.unwrap();
    let worker = register(&client, "w").await;
    let first = client.lease(&worker).await.unwrap().unwrap();
    let second = client.exchange(&worker, first.attempt, end()).await.unwrap().unwrap();
    let listen = handle.url().strip_prefix("http://").unwrap().parse().unwrap();
    handle.stop().await.unwrap();
    let config = Config { listen, grace: Span::from_millis(1), ..Config::new(home.path()) };
    let handle = scheduler::start(config, sweeps(), None).await.unwrap();
    // The same client, whose stream was to the scheduler before: its end is heard at once, by one that does not know it.
    let answer = client.exchange(&worker, second.attempt, end()).await.unwrap_err();
    assert!(matches!(answer, ClientError::Refused(Refusal::NotRegistered)), "{answer}");
    let trial = client.show(&submission("2").experiment).await.unwrap().trials.remove(1);
    assert!(matches!(trial.status, TrialState::Succeeded { .. }));
    handle.stop().await.unwrap();
}

#[tokio::test]
async fn whoever_gives_an_answer_up_does_not_get_it_as_the_next() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = begin(home.path()).await;
    client.submit(submission("1")).await.unwrap();
    let worker = register(&client, "w").await;
    let only = client.lease(&worker).await.unwrap().unwrap();
    // The experiment is over, so this waits for another until its caller has other things to do.
    let waits = client.exchange(&worker, only.attempt, end());
    tokio::time::timeout(Duration::from_millis(200), waits).await.expect_err("there is no other trial");
    client.submit(Submission { experiment: "more".parse().unwrap(), ..submission("2") }).await.unwrap();
    let first = client.lease(&worker).await.unwrap().unwrap();
    let second = client.exchange(&worker, first.attempt, end()).await.unwrap().unwrap();
    assert_eq!((first.trial.to_string(), second.trial.to_string()), ("more.0".to_owned(), "more.1".to_owned()));
    handle.stop().await.unwrap();
}

#[tokio::test]
async fn a_scheduler_that_stops_does_not_wait_for_a_worker_at_work() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = begin(home.path()).await;
    client.submit(submission("2")).await.unwrap();
    let worker = register(&client, "w").await;
    let first = client.lease(&worker).await.unwrap().unwrap();
    client.exchange(&worker, first.attempt, end()).await.unwrap().unwrap();
    // Open streams would be cut after two seconds.
    tokio::time::timeout(Duration::from_millis(1_500), handle.stop())
        .await
        .expect("the stream ends by itself")
        .unwrap();
}

/// A worker that hands an end in, and whose line is cut while its stream is open.
async fn cut(handle: &Handle) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let scheduler = handle.url().strip_prefix("http://").unwrap().to_owned();
    let line = tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = tokio::net::TcpStream::connect(scheduler).await.unwrap();
        tokio::io::copy_bidirectional(&mut near, &mut far).await
    });
    let client = Client::connect(&url, handle.token(), Span::from_secs(5)).await.unwrap();
    client.submit(Submission { experiment: "more".parse().unwrap(), ..submission("2") }).await.unwrap();
    let worker = register(&client, "x").await;
    let first = client.lease(&worker).await.unwrap().unwrap();
    client.exchange(&worker, first.attempt, end()).await.unwrap().unwrap();
    line.abort();
    assert!(line.await.unwrap_err().is_cancelled());
}

#[tokio::test]
async fn a_worker_that_hangs_up_is_no_refusal() {
    let home = tempfile::tempdir().unwrap();
    let (handle, client) = begin(home.path()).await;
    cut(&handle).await;
    client.submit(submission("2")).await.unwrap();
    let worker = register(&client, "w").await;
    let first = client.lease(&worker).await.unwrap().unwrap();
    let second = client.exchange(&worker, first.attempt, end()).await.unwrap().unwrap();
    // Another hangs up between two ends, and one while it waits for an answer.
    let other = handle.client().await.unwrap();
    let waits = other.exchange(&worker, second.attempt, end());
    tokio::time::timeout(Duration::from_millis(200), waits).await.expect_err("there is no other trial");
    drop((client, other));
    let last = handle.client().await.unwrap();
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        last.list().await.unwrap();
    }
    assert_eq!(handle.refusals().counts(), [].into());
    handle.stop().await.unwrap();
}
