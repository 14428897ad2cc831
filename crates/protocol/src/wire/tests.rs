//! What survives the wire, and what is refused.

use std::collections::BTreeMap;

use proptest::prelude::*;
use spec::FailureClass;

use telemetry::TraceContext;

use super::*;

fn checkpoint(step: u64) -> CheckpointRef {
    CheckpointRef { digest: Digest::of(&step.to_le_bytes()), step }
}

proptest! {
    #[test]
    fn an_assignment_survives_the_wire(
        index: u32, attempt: u64, degrade: u8, gpus: Vec<u32>, payload: Vec<u8>, steps in proptest::collection::vec(0u64..99, 0..3)
    ) {
        let assignment = Assignment {
            trial: format!("sweep-1.{index}").parse().unwrap(),
            attempt: AttemptId(attempt),
            degrade,
            gpus,
            payload,
            parent: steps.first().copied().map(checkpoint),
            lent: steps.iter().copied().map(checkpoint).collect(),
            checkpoints: steps.into_iter().map(checkpoint).collect(),
            rung: degrade.is_multiple_of(2).then_some(Rung { index, share: Share(index) }),
            trace: degrade.is_multiple_of(3).then(|| TraceContext::root([degrade; 32])),
        };
        prop_assert_eq!(Assignment::try_from(wire::Assignment::from(assignment.clone())).unwrap(), assignment);
    }

    #[test]
    fn a_submission_survives_the_wire(
        payload: Vec<u8>, parallel in proptest::option::of(1u32..), attempts in 1u32.., backoff: u64, priority: i32,
        memory in proptest::option::of(1u64..)
    ) {
        let submission = Submission {
            experiment: "sweep-1".parse().unwrap(),
            name: "sweep".parse().unwrap(),
            payload,
            policy: Policy {
                parallel,
                retry: RetrySpec { attempts, backoff: Span::from_millis(backoff) },
                priority,
                gpus: 1,
                gpu_memory: memory.map(Bytes),
                memory: memory.map(Bytes),
                custom: [("licence".parse().unwrap(), attempts % 9)].into(),
                owner: memory.map(|_| "someone".parse().unwrap()),
                after: vec!["train".parse().unwrap()],
                deadline: memory.map(|micros| Timestamp::from_micros(micros as i64)),
                degrade_max: memory.map(|memory| memory as u8),
                trace: memory.map(|memory| TraceContext::root([memory as u8; 32])),
                ..Policy::default()
            },
        };
        prop_assert_eq!(Submission::try_from(wire::SubmitRequest::from(submission.clone())).unwrap(), submission);
    }

    #[test]
    fn a_registration_survives_the_wire(
        cpus in 1..=CPUS_MAX, indices in proptest::collection::btree_set(any::<u32>(), 0..4), memory in 0..=MEMORY_MAX.0
    ) {
        let gpu = |index| Gpu { index, memory: Bytes(memory), name: "some".to_owned() };
        let registration = Registration {
            node: Some("box-1".parse().unwrap()),
            gpus: indices.into_iter().map(gpu).collect(),
            memory: Some(Bytes(memory)),
            custom: [("licence".parse().unwrap(), 3)].into(),
            ..Registration::of("w".parse().unwrap(), cpus)
        };
        let request = wire::RegisterRequest::from(registration.clone());
        prop_assert_eq!(Registration::try_from(request).unwrap(), registration);
    }

    #[test]
    fn a_report_survives_the_wire(
        outcome: Vec<u8>, class in proptest::sample::select(FailureClass::ALL), message: String, rung: u32, value: f64
    ) {
        let paused = Report::Paused { rung, checkpoint: checkpoint(3), value: Finite::new(value) };
        for report in [Report::Succeeded(outcome), Report::Failed { class, message }, paused, Report::Stopped] {
            prop_assert_eq!(Report::try_from(wire::finish_request::Report::from(report.clone())).unwrap(), report);
        }
    }
}

proptest! {
    #[test]
    fn an_ending_survives_the_wire(
        payload: Vec<u8>, values: Vec<f64>, class in proptest::sample::select(FailureClass::ALL), message: String,
        told: Vec<u32>, arrivals: Vec<u32>
    ) {
        let rungs: Vec<_> = values.into_iter().map(Finite::new).collect();
        for end in [End::Succeeded(payload.clone()), End::Failed { class, message }, End::Pruned] {
            let (rungs, told, arrivals) = (rungs.clone(), told.clone(), arrivals.clone());
            let ending = Ending { payload: payload.clone(), rungs, arrivals, told, end };
            prop_assert_eq!(Ending::try_from(wire::Ending::from(ending.clone())).unwrap(), ending);
        }
    }
}

#[test]
fn progress_keeps_finite_metrics_and_drops_the_rest() {
    let said = Progress {
        step: 3,
        steps: 10,
        unit: ProgressUnit::Epoch,
        rate: f64::NAN,
        metrics: BTreeMap::from([(Metric::Loss, f64::NAN), (Metric::ValidationLoss, 0.5)]),
    };
    let heard = Progress::try_from(wire::Progress::from(said)).unwrap();
    assert_eq!(heard.rate, 0.0);
    assert_eq!(heard.metrics, BTreeMap::from([(Metric::ValidationLoss, 0.5)]));
}

#[test]
fn malformed_fields_are_named() {
    let bad_digest = wire::CheckpointRef { digest: vec![1, 2], step: 1 };
    assert_eq!(
        CheckpointRef::try_from(bad_digest).unwrap_err().to_string(),
        "field `digest` is malformed: a SHA-256 has 32 bytes, not 2"
    );
    let request = wire::SubmitRequest { experiment: "Bad Name".to_owned(), ..wire::SubmitRequest::default() };
    assert_eq!(
        Submission::try_from(request).unwrap_err().to_string(),
        "field `attempts` is malformed: it must be at least 1"
    );
    let mut directive = wire::HeartbeatReply { directive: 77 };
    assert!(Directive::try_from(directive).is_err());
    directive.directive = wire::Directive::StopDraining.into();
    assert_eq!(Directive::try_from(directive).unwrap(), Directive::Stop(StopCause::Draining));
}

#[test]
fn a_worker_that_claims_the_absurd_or_speaks_another_version_is_refused() {
    let sound = || wire::RegisterRequest::from(Registration::of("w".parse().unwrap(), 1));
    let gpu = |index| wire::Gpu { index, ..wire::Gpu::default() };
    let refused = |request: wire::RegisterRequest| Registration::try_from(request).unwrap_err().to_string();
    for (request, said) in [
        (wire::RegisterRequest { cpus: 0, ..sound() }, "field `cpus` is malformed: 0 is not within 1 to 4096"),
        (
            wire::RegisterRequest { cpus: u32::MAX, ..sound() },
            "field `cpus` is malformed: 4294967295 is not within 1 to 4096",
        ),
        (
            wire::RegisterRequest { gpus: vec![gpu(1), gpu(1)], ..sound() },
            "field `gpus` is malformed: index 1 is given twice",
        ),
        (
            wire::RegisterRequest { gpus: (0..65).map(gpu).collect(), ..sound() },
            "field `gpus` is malformed: 65 is not within 0 to 64",
        ),
        (
            wire::RegisterRequest { memory_bytes: Some(u64::MAX), ..sound() },
            "field `memory_bytes` is malformed: 16777216.0TiB is not within 0B to 1024TiB",
        ),
        (
            wire::RegisterRequest { custom: [("licence".to_owned(), u32::MAX)].into(), ..sound() },
            "field `custom` is malformed: 4294967295 is not within 0 to 1000000",
        ),
        (
            wire::RegisterRequest { version: "v".repeat(257), ..sound() },
            "field `version` is malformed: 257 is not within 0 to 256",
        ),
        (
            wire::RegisterRequest { protocol: 7, ..sound() },
            "field `protocol` is malformed: the worker speaks version 7 and this scheduler 3: run the same build on both",
        ),
    ] {
        assert_eq!(refused(request), said);
    }
    assert!(Registration::try_from(sound()).is_ok());
}
