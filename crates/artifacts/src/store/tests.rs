//! Bundles and checkpoints on a folder: whole, checked, and mended by putting them again.

use super::*;
use crate::bundle::tests::bundle;

mod s3;

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_str().unwrap()).unwrap();
    (folder, store)
}

#[test]
fn a_bundle_comes_back_as_it_went_in_from_a_folder_and_from_a_url() {
    let (folder, store) = store();
    store.put_bundle(&bundle(1)).unwrap();
    store.put_bundle(&bundle(1)).unwrap();
    assert_eq!(store.get_bundle(bundle(1).id()).unwrap(), bundle(1));
    let url = url::Url::from_directory_path(folder.path()).unwrap();
    assert_eq!(Store::open(url.as_str()).unwrap().get_bundle(bundle(1).id()).unwrap(), bundle(1));
    let error = store.get_bundle(bundle(2).id()).unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
}

#[test]
fn a_truncated_lengthened_or_edited_file_is_refused_by_digest_and_named() {
    let (folder, store) = store();
    let bundle = bundle(1);
    let file = folder.path().join("bundles").join(bundle.id().to_string()).join("weights.safetensors");
    for damaged in [&[1u8, 2][..], &[1, 2, 3, 4], &[1, 2, 4], &[]] {
        store.put_bundle(&bundle).unwrap();
        std::fs::write(&file, damaged).unwrap();
        let error = store.get_bundle(bundle.id()).unwrap_err().to_string();
        assert!(error.contains("weights.safetensors was changed or cut short"), "{error}");
        assert!(error.contains(&Digest::of(&[1, 2, 3]).to_string()), "{error}");
        assert!(error.contains(&Digest::of(damaged).to_string()), "{error}");
    }
    std::fs::remove_file(&file).unwrap();
    assert!(store.get_bundle(bundle.id()).unwrap_err().to_string().contains("weights.safetensors"));
}

#[test]
fn an_encoder_that_cannot_be_read_is_told_from_a_bundle_that_cannot() {
    let (folder, store) = store();
    let bundle = bundle(1).encoding(b"{}".to_vec(), vec![9]);
    let files = folder.path().join("bundles").join(bundle.id().to_string());
    for (file, of_encoder) in [("encoder.json", true), ("encoder.safetensors", true), ("features.json", false)] {
        store.put_bundle(&bundle).unwrap();
        let path = files.join(file);
        std::fs::remove_file(&path).unwrap();
        // A link to itself is there and opens for nobody.
        std::os::unix::fs::symlink(&path, &path).unwrap();
        let error = store.get_bundle(bundle.id()).unwrap_err();
        assert_eq!(error.is_of_encoder(), of_encoder, "{file}: {error}");
        let cause = if let StoreError::Encoder { source, .. } = &error { &**source } else { &error };
        assert!(matches!(cause, StoreError::Transient { action: "reading", .. }), "{file}: {error}");
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn an_edited_manifest_is_refused_and_putting_the_bundle_again_mends_it() {
    let (folder, store) = store();
    let bundle = bundle(1);
    store.put_bundle(&bundle).unwrap();
    let file = folder.path().join("bundles").join(bundle.id().to_string()).join(MANIFEST);
    let edited = std::fs::read_to_string(&file).unwrap().replace("0.25", "9.25");
    std::fs::write(&file, edited).unwrap();
    let error = store.get_bundle(bundle.id()).unwrap_err().to_string();
    assert!(error.contains("manifest was changed"), "{error}");
    store.put_bundle(&bundle).unwrap();
    assert_eq!(store.get_bundle(bundle.id()).unwrap(), bundle);
}

#[test]
fn a_folder_that_cannot_be_made_is_refused_by_name() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let below = file.path().join("store");
    let error = Store::open(below.to_str().unwrap()).unwrap_err().to_string();
    assert!(error.contains(below.to_str().unwrap()), "{error}");
    let error = Store::open("gopher://bucket").unwrap_err().to_string();
    assert!(error.starts_with("store gopher://bucket cannot be opened"), "{error}");
}

#[test]
fn no_flipped_bit_in_a_checkpoint_or_a_bundle_goes_unseen() {
    let (folder, store) = store();
    let bundle = bundle(1);
    store.put_bundle(&bundle).unwrap();
    let digest = store.put_checkpoint((0..2_000_u32).map(|at| (at * 31) as u8).collect()).unwrap();
    let bundled = folder.path().join("bundles").join(bundle.id().to_string());
    let mut files: Vec<_> = std::fs::read_dir(&bundled).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.push(folder.path().join("checkpoints").join(digest.to_string()));
    let mut flips = 0;
    for file in files {
        let whole = std::fs::read(&file).unwrap();
        // Every fifth, so that each bit of a byte is met.
        for bit in (0..whole.len() * 8).step_by(5) {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&file, flipped).unwrap();
            let refused = if file.starts_with(&bundled) {
                store.get_bundle(bundle.id()).is_err()
            } else {
                matches!(store.get_checkpoint(digest), Err(StoreError::Checkpoint { .. }))
            };
            assert!(refused, "bit {bit} of {} was flipped and nobody saw it", file.display());
            flips += 1;
        }
        std::fs::write(&file, whole).unwrap();
    }
    assert!(flips > 4_000, "only {flips} bits were flipped");
    assert_eq!(store.get_bundle(bundle.id()).unwrap(), bundle);
    store.get_checkpoint(digest).unwrap();
}

#[test]
fn a_half_written_checkpoint_is_refused() {
    let (folder, store) = store();
    let digest = store.put_checkpoint(vec![7; 1_000]).unwrap();
    assert_eq!(store.get_checkpoint(digest).unwrap(), vec![7; 1_000]);
    std::fs::write(folder.path().join("checkpoints").join(digest.to_string()), vec![7; 500]).unwrap();
    assert!(matches!(store.get_checkpoint(digest), Err(StoreError::Checkpoint { .. })));
    store.delete_checkpoint(digest).unwrap();
    store.delete_checkpoint(digest).unwrap();
    assert!(matches!(store.get_checkpoint(digest), Err(StoreError::NotFound { .. })));
}

#[test]
fn a_log_of_a_folder_only_grows() {
    let (_folder, store) = store();
    let id: spec::ExperimentId = "some-00000001".parse().unwrap();
    for (text, there) in [("one\n", "one\n"), ("one\ntwo\n", "one\ntwo\n"), ("one\n", "one\ntwo\n")] {
        store.put_log(&id, text.as_bytes()).unwrap();
        assert_eq!(store.get_log(&id).unwrap(), there.as_bytes());
    }
}
