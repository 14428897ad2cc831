//! Torn tails, damage and locks, byte by byte.

use proptest::prelude::*;

use super::*;

fn written(payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for payload in payloads {
        bytes.extend(encode(payload));
    }
    bytes
}

fn payloads_of(contents: &Contents) -> Vec<Vec<u8>> {
    contents.frames.iter().map(|frame| frame.payload.clone()).collect()
}

fn three() -> Vec<Vec<u8>> {
    vec![b"{\"first\":1}".to_vec(), b"{\"second\":22}".to_vec(), b"{\"third\":333}".to_vec()]
}

#[test]
fn what_is_appended_is_read_back_and_can_be_appended_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session.journal");
    let (mut frames, held) = Frames::open(&path).unwrap();
    assert_eq!(held, Contents::default());
    frames.append(b"one").unwrap();
    frames.sync().unwrap();
    drop(frames);
    let (mut frames, held) = Frames::open(&path).unwrap();
    assert_eq!(payloads_of(&held), [b"one".to_vec()]);
    frames.append(b"two").unwrap();
    assert_eq!(payloads_of(&read(&path).unwrap()), [b"one".to_vec(), b"two".to_vec()]);
}

#[test]
fn a_file_cut_at_any_byte_keeps_every_whole_record_and_takes_more() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = written(&three());
    for cut in 0..bytes.len() {
        let path = folder.path().join(format!("cut{cut}"));
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let (mut frames, held) = Frames::open(&path).unwrap();
        let whole = (0..3).take_while(|&n| written(&three()[..=n]).len() <= cut).count();
        assert_eq!(payloads_of(&held), three()[..whole], "cut at {cut}");
        frames.append(b"after").unwrap();
        drop(frames);
        let expected: Vec<_> = three()[..whole].iter().cloned().chain([b"after".to_vec()]).collect();
        assert_eq!(payloads_of(&read(&path).unwrap()), expected, "cut at {cut}");
    }
}

#[test]
fn a_flipped_bit_before_the_last_record_is_refused_with_its_offset() {
    let bytes = written(&three());
    let second = MAGIC.len() + encode(&three()[0]).len();
    let third = second + encode(&three()[1]).len();
    for byte in second..third {
        let mut damaged = bytes.clone();
        damaged[byte] ^= 0x40;
        match parse(Path::new("j"), &damaged) {
            Err(FrameError::Damaged { offset, record, .. }) => assert_eq!((offset, record), (second as u64, 1)),
            other => panic!("byte {byte}: {other:?}"),
        }
    }
}

#[test]
fn a_second_writer_and_a_foreign_file_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session.journal");
    let (_first, _) = Frames::open(&path).unwrap();
    assert!(matches!(Frames::open(&path), Err(FrameError::Locked { .. })));
    let foreign = folder.path().join("notes.txt");
    std::fs::write(&foreign, "bought some shares").unwrap();
    assert!(matches!(Frames::open(&foreign), Err(FrameError::NotAJournal { .. })));
    assert_eq!(std::fs::read_to_string(&foreign).unwrap(), "bought some shares");
}

proptest! {
    #[test]
    fn garbage_at_the_end_never_costs_a_record(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
        tail in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut bytes = written(&payloads);
        bytes.extend(&tail);
        let contents = parse(Path::new("j"), &bytes).unwrap();
        prop_assert_eq!(payloads_of(&contents), payloads);
        prop_assert_eq!(contents.torn, tail.len() as u64);
    }
}
