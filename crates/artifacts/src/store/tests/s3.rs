//! The same store on a real S3 server, which the tests start.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use super::*;

const SECRET: &str = "hush-hush-secret-key";

struct Server {
    process: Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    fn start() -> Self {
        let script = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/s3.py");
        let mut process = Command::new("python3")
            .arg(script)
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut url).unwrap();
        assert!(url.starts_with("http://"), "no S3 server: `python3 scripts/s3.py` installs one");
        Self { process, url: url.trim().to_owned() }
    }

    fn store(&self, location: &str) -> Store {
        store_at(&self.url, location)
    }
}

fn store_at(endpoint: &str, location: &str) -> Store {
    let options = [
        ("aws_endpoint_url", endpoint),
        ("aws_allow_http", "true"),
        ("aws_region", "us-east-1"),
        ("aws_access_key_id", "somebody"),
        ("aws_secret_access_key", SECRET),
    ];
    Store::with(location, options.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap()
}

#[test]
fn bundles_and_checkpoints_come_back_whole_and_a_prefix_is_a_store_of_its_own() {
    let server = Server::start();
    let (store, other) = (server.store("s3://tradewind/a"), server.store("s3://tradewind/b/c"));
    store.claim().unwrap();
    store.claim().unwrap();
    store.put_bundle(&bundle(1)).unwrap();
    store.put_bundle(&bundle(1)).unwrap();
    assert_eq!(store.get_bundle(bundle(1).id()).unwrap(), bundle(1));
    assert!(matches!(other.get_bundle(bundle(1).id()), Err(StoreError::NotFound { .. })));

    assert_eq!(store.checkpoints().unwrap(), []);
    let digest = store.put_checkpoint(vec![7; 1_000]).unwrap();
    assert_eq!(store.get_checkpoint(digest).unwrap(), vec![7; 1_000]);
    assert_eq!(store.checkpoints().unwrap(), [digest]);
    assert_eq!(other.checkpoints().unwrap(), []);
    store.delete_checkpoint(digest).unwrap();
    store.delete_checkpoint(digest).unwrap();
    assert!(matches!(store.get_checkpoint(digest), Err(StoreError::NotFound { .. })));
}

#[test]
fn a_large_checkpoint_goes_in_parts_and_comes_back_to_the_bit() {
    let server = Server::start();
    let store = server.store("s3://tradewind/large");
    let mut state = 1_u32;
    let bytes: Vec<u8> = (0..2 * PART_BYTES + 12_345)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    let digest = store.put_checkpoint(bytes.clone()).unwrap();
    assert!(store.get_checkpoint(digest).unwrap() == bytes);
    let path = store.checkpoint_path(digest);
    let tag = store.block_on(async { store.objects.head(&path).await }).unwrap().e_tag.unwrap();
    assert!(tag.trim_matches('"').ends_with("-3"), "S3 counts parts in the tag of what came in parts: {tag}");
}

#[test]
fn a_store_of_another_format_is_refused_and_its_mark_is_not_written_over() {
    let server = Server::start();
    let store = server.store("s3://tradewind/later");
    let path = store.root.clone().join("store.json");
    store.put(&path, br#"{"format":9}"#.to_vec()).unwrap();
    let error = store.claim().unwrap_err().to_string();
    assert!(error.contains("has format 9 and this build reads 1"), "{error}");
    assert_eq!(store.get(&path, 100, String::new).unwrap(), br#"{"format":9}"#);
}

#[test]
fn a_log_only_grows_and_who_looked_before_it_grew_writes_nothing() {
    let server = Server::start();
    let store = server.store("s3://tradewind/logs");
    let id: spec::ExperimentId = "some-00000001".parse().unwrap();
    assert!(matches!(store.get_log(&id), Err(StoreError::NotFound { .. })));
    store.put_log(&id, b"one\n").unwrap();
    store.put_log(&id, b"one\ntwo\n").unwrap();
    store.put_log(&id, b"one\n").unwrap();
    assert_eq!(store.get_log(&id).unwrap(), b"one\ntwo\n");

    // Bound to a version that is gone, as a writer is that was overtaken between its look and its put.
    let path = store.root.clone().join("logs").join("some-00000001.jsonl");
    let seen = store.block_on(async { store.objects.head(&path).await }).unwrap();
    store.put_log(&id, b"one\ntwo\nthree\n").unwrap();
    let version = object_store::UpdateVersion { e_tag: seen.e_tag, version: seen.version };
    let late = store.block_on(async {
        let mode = object_store::PutMode::Update(version);
        store.objects.put_opts(&path, PutPayload::from_static(b"one\ntwo\nfour, long\n"), mode.into()).await
    });
    assert!(matches!(late, Err(object_store::Error::Precondition { .. })), "{late:?}");
    assert_eq!(store.get_log(&id).unwrap(), b"one\ntwo\nthree\n");
}

#[test]
fn what_goes_wrong_is_said_with_the_place_and_without_the_key() {
    let server = Server::start();
    let error = server.store("s3://no-such-bucket/x").claim().unwrap_err();
    let said = format!("{error} {error:?}");
    assert!(said.contains("no-such-bucket") && !said.contains(SECRET), "{said}");
    let store = server.store("s3://tradewind/x");
    assert!(!format!("{store:?}").contains(SECRET));
}
