//! Every refusal has a status, a stable code and a sentence that names what is wrong.

use serde_json::{Value, json};

use crate::fixture::{BARS, KEY, Kind, Running, TRAINED, bars};

#[track_caller]
fn assert_refused((status, body): &(u16, Value), expected: (u16, &str), said: &str) {
    assert_eq!((*status, body["error"]["code"].as_str().unwrap_or_default()), expected, "{body}");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains(said), "`{message}` does not say `{said}`");
}

#[tokio::test]
async fn without_the_right_key_nothing_but_health_and_readiness_is_told() {
    let server = Running::start(Kind::Forecaster).await;
    let too_long = format!("{KEY}0");
    for key in [None, Some("wrong"), Some(&KEY[1..]), Some(too_long.as_str())] {
        // Refused before the body is read: its form is not told.
        for body in [b"{".to_vec(), b"{}".to_vec()] {
            let reply = server.post("/v1/predict", key, body).await;
            assert_refused(&reply, (401, "unauthorized"), "Authorization: Bearer");
        }
        assert_refused(&server.get("/v1/model", key).await, (401, "unauthorized"), "key file");
    }
    assert_eq!(server.get("/healthz", None).await, (200, json!({"status": "ok"})));
    assert_eq!(server.get("/readyz", None).await, (200, json!({"status": "ready"})));
    server.stop().await;
}

#[tokio::test]
async fn paths_and_methods_that_are_not_there_are_refused_in_json() {
    let server = Running::start(Kind::Forecaster).await;
    assert_refused(&server.get("/", None).await, (404, "not_found"), "/v1/predict");
    assert_refused(&server.get("/v1/predict", Some(KEY)).await, (405, "method_not_allowed"), "POST");
    server.stop().await;
}

#[tokio::test]
async fn bodies_that_are_no_request_are_refused() {
    let server = Running::start(Kind::Forecaster).await;
    let post = async |body: &[u8]| server.post("/v1/predict", Some(KEY), body.to_vec()).await;
    assert_refused(&post(b"").await, (400, "invalid_json"), "EOF");
    assert_refused(&post(b"{\"rows\": [[1, }").await, (400, "invalid_json"), "line 1");
    assert_refused(&post(b"{\"rows\": \"many\"}").await, (422, "invalid_request"), "sequence");
    assert_refused(&post(b"{\"row\": []}").await, (422, "invalid_request"), "unknown field `row`");
    assert_refused(&post(b"{}").await, (422, "invalid_request"), "either `bars` or `rows`");
    assert_refused(&post(b"{\"rows\": [], \"bars\": []}").await, (422, "invalid_request"), "either `bars` or `rows`");
    assert_refused(&post(b"{\"rows\": []}").await, (422, "invalid_request"), "`rows` is empty");
    assert_refused(&post(b"{\"bars\": []}").await, (422, "invalid_request"), "`bars` is empty");
    assert_refused(&post(&vec![b' '; (1 << 20) + 1]).await, (413, "too_large"), "1048576 bytes");
    server.stop().await;
}

#[tokio::test]
async fn an_action_needs_a_policy_and_what_it_holds() {
    let flat = json!({"exposure": 0, "unrealised": 0});
    let server = Running::start(Kind::Forecaster).await;
    let reply = server.act(&json!({"bars": bars(), "position": flat})).await;
    assert_refused(&reply, (422, "invalid_request"), "does not act: use /v1/predict");
    assert_refused(&server.post("/v1/act", None, Vec::new()).await, (401, "unauthorized"), "Authorization");
    server.stop().await;
    let server = Running::start(Kind::Policy).await;
    assert_refused(&server.act(&json!({"bars": bars()})).await, (422, "invalid_request"), "missing field `position`");
    assert_refused(&server.act(&json!({"position": flat})).await, (422, "invalid_request"), "`bars` or `row`");
    server.stop().await;
}

fn zeros(count: usize) -> Vec<f32> {
    vec![0.0; count]
}

#[tokio::test]
async fn rows_that_are_no_windows_are_refused() {
    let server = Running::start(Kind::Forecaster).await;
    let reply = server.predict(&json!({"rows": [zeros(12), zeros(11)]})).await;
    assert_refused(&reply, (422, "wrong_width"), "row 1 has 11 values: a row is a full window of 4 bars × 3 features");
    let mut beyond = [0.0f64; 12];
    beyond[5] = 1e300;
    let reply = server.predict(&json!({"rows": [beyond]})).await;
    assert_refused(&reply, (400, "invalid_json"), "number out of range");
    let reply = server.predict(&json!({"rows": vec![[0; 12]; 1_025]})).await;
    assert_refused(&reply, (413, "too_large"), "at most 1024");
    let reply = server.predict(&json!({"rows": [zeros(12)], "last": 1})).await;
    assert_refused(&reply, (422, "invalid_request"), "`last` goes with `bars`");
    let reply = server.predict(&json!({"rows": [zeros(12)], "position": {"exposure": 0, "unrealised": 0}})).await;
    assert_refused(&reply, (422, "invalid_request"), "`position` is for policies");
    server.stop().await;
}

#[tokio::test]
async fn histories_that_join_nowhere_are_refused_with_what_is_needed() {
    let server = Running::start(Kind::Forecaster).await;
    let bars = bars();
    for start in [1, TRAINED - 1, TRAINED + 1] {
        let reply = server.predict(&json!({"bars": &bars[start..]})).await;
        assert_refused(&reply, (422, "history_too_short"), &bars[0].time.to_string());
        assert_refused(&reply, (422, "history_too_short"), &bars[TRAINED - 1].time.to_string());
    }
    let reply = server.predict(&json!({"bars": &bars[..10]})).await;
    assert_refused(&reply, (422, "history_too_short"), "10 bars do not fill a window of 4; send 23 or more");
    // The number told is enough, and one bar less is not.
    assert_eq!(server.predict(&json!({"bars": &bars[..23]})).await.0, 200);
    assert_eq!(server.predict(&json!({"bars": &bars[..22]})).await.0, 422);
    server.stop().await;
}

#[tokio::test]
async fn defective_bars_are_refused_by_index() {
    let server = Running::start(Kind::Forecaster).await;
    let spoilt = |change: fn(&mut Vec<market::Bar>)| {
        let mut bars = bars()[TRAINED..].to_vec();
        change(&mut bars);
        json!({"bars": bars})
    };
    let reply = server.predict(&spoilt(|bars| bars[7].low = 0.0)).await;
    assert_refused(&reply, (422, "defective_bar"), "bars[7]");
    let reply = server.predict(&spoilt(|bars| bars[3].close = bars[3].high + 1.0)).await;
    assert_refused(&reply, (422, "defective_bar"), "bars[3]");
    let reply = server.predict(&spoilt(|bars| bars.swap(4, 5))).await;
    assert_eq!(reply.0, 422, "{}", reply.1);
    let reply = server.predict(&spoilt(|bars| bars[9] = bars[8])).await;
    assert_refused(&reply, (422, "bars_out_of_order"), "bars[9]");
    let reply =
        server.predict(&spoilt(|bars| bars.retain(|bar| bar.time != crate::fixture::bars()[TRAINED + 6].time))).await;
    assert_refused(&reply, (422, "missing_bars"), "bars[6]");
    let reply = server.predict(&json!({"bars": bars(), "last": BARS * 10})).await;
    assert_refused(&reply, (422, "invalid_request"), "`last` is 1600");
    server.stop().await;
}
